import { useAddress } from "@shared/address";
import { api, ok } from "@shared/api/client";
import { Simulated } from "@shared/ui/bits";
import { Filter } from "@shared/ui/Filter";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import { MoreFilters } from "@shared/ui/MoreFilters";
import { UsageList } from "@shared/ui/Usage";
import { Button, Typography } from "antd";
import { useTranslation } from "react-i18next";
import { Link, useNavigate } from "react-router-dom";
import { BulkActions } from "./NodesActions";
import { Labels, type Node, NodeStatus, NodeTags, type Status, STATUSES } from "./NodesParts";

/** The servers, found by themselves. */
export function Nodes() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [status, setStatus] = useAddress<Status>("status");
  const [pool, setPool] = useAddress("pool");
  const [site, setSite] = useAddress("site");
  const [rest, setRest] = useAddress<"yes" | "no">("cordoned");
  const [fault, setFault] = useAddress<"flagged" | "unhealthy" | "advised">("fault");
  const filter = {
    status,
    pool_id: pool,
    site_id: site,
    cordoned: rest && rest === "yes",
    flagged: fault === "flagged" || undefined,
    advised: fault === "advised" || undefined,
    unhealthy: fault === "unhealthy" || undefined,
  };

  const columns: Column<Node>[] = [
    {
      title: t("common.name"),
      dataIndex: "name",
      sort: "name",
      render: (name, node) => (
        <>
          <span className="tags">
            <Link to={`/nodes/${node.id}`}>{name}</Link>
            <Simulated when={node.simulated} />
            <NodeTags node={node} />
          </span>
          {node.hostname !== name && (
            <Typography.Text type="secondary" className="reason">
              {node.hostname}
            </Typography.Text>
          )}
        </>
      ),
    },
    { title: t("common.status"), key: "status", render: (_, node) => <NodeStatus node={node} /> },
    {
      title: t("nodes.ip"),
      dataIndex: "ip",
      sort: "ip",
      render: (ip, node) => (
        <>
          <span className="number">{ip || "–"}</span>
          {node.agent_version && (
            <Typography.Text type="secondary" className="reason">
              {t("nodes.agent")} {node.agent_version}
            </Typography.Text>
          )}
        </>
      ),
    },
    { title: t("common.pool"), dataIndex: "pool_name" },
    { title: t("nodes.resources"), dataIndex: "resources", render: (usage) => <UsageList usage={usage} /> },
    {
      title: t("nodes.replicas"),
      dataIndex: "replicas",
      align: "right",
      render: (count, node) => (count ? <Link to={`/work?node=${node.id}`}>{count}</Link> : 0),
    },
    { title: t("nodes.labels"), key: "labels", render: (_, node) => <Labels node={node} most={3} /> },
  ];
  const chooser = (label: string, value: string | undefined, onChange: (value: string | undefined) => void) => ({
    allowClear: true,
    "aria-label": label,
    placeholder: label,
    value,
    onChange,
    style: { minWidth: 130 },
  });
  const named = ({ id, name }: { id: string; name: string }) => ({ value: id, label: name });
  return (
    <ListPage
      title={t("menu.nodes")}
      about={t("nodes.about")}
      queryKey={["nodes", filter]}
      load={(query) => ok(api.GET("/api/v1/nodes", { params: { query: { ...query, ...filter } } }))}
      columns={columns}
      rowKey={(node) => node.id}
      extra={
        <Button type="primary" onClick={() => navigate("/sites?create=yes")}>
          {t("nodes.addServer")}
        </Button>
      }
      filtered={Boolean(status || pool || site || rest || fault)}
      filters={
        <MoreFilters set={[status, pool, site, rest, fault].filter(Boolean).length}>
          <Filter
            label={t("common.status")}
            value={status}
            onChange={setStatus}
            options={STATUSES.map((value) => ({ value, label: t(`nodeStatus.${value}`) }))}
          />
          <LoadedSelect
            {...chooser(t("common.pool"), pool, setPool)}
            queryKey="pools"
            load={(query) => ok(api.GET("/api/v1/pools", { params: { query: { ...query, role: "miner" } } }))}
            option={named}
          />
          <LoadedSelect
            {...chooser(t("nodes.site"), site, setSite)}
            queryKey="sites"
            load={(query) => ok(api.GET("/api/v1/sites", { params: { query } }))}
            option={named}
          />
          <Filter
            label={t("nodes.newWork")}
            value={rest}
            onChange={setRest}
            options={[
              { value: "no", label: t("nodes.takesWork") },
              { value: "yes", label: t("nodes.takesNone") },
            ]}
          />
          <Filter
            label={t("nodes.fault")}
            value={fault}
            onChange={setFault}
            options={[
              { value: "unhealthy", label: t("nodes.unhealthy") },
              { value: "flagged", label: t("nodes.flagged") },
              { value: "advised", label: t("nodes.advised") },
            ]}
          />
        </MoreFilters>
      }
      file={{ path: "/api/v1/nodes", query: filter }}
      bulk={(nodes, done) => <BulkActions nodes={nodes} onDone={done} />}
      empty={t("nodes.empty")}
    />
  );
}
