import { useAddress } from "@shared/address";
import { api, ok, type Schemas } from "@shared/api/client";
import { formatUnc } from "@shared/format";
import { useRole } from "@shared/session";
import { Filter } from "@shared/ui/Filter";
import { useConfirm } from "@shared/ui/feedback";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import { MoreFilters } from "@shared/ui/MoreFilters";
import { UsageList } from "@shared/ui/Usage";
import { Button, Tag, Tooltip, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { PoolDialog } from "./PoolsDialog";

type Pool = Schemas["PoolOut"];
type Offer = Schemas["PoolSpecRef"];
const MOST = 6;

/** Resource pools: nodes, the specifications offered on them, and who may use them. */
export function Pools() {
  const { t } = useTranslation();
  const confirm = useConfirm();
  const operator = useRole();
  const [group, setGroup] = useAddress("group");
  const [spec, setSpec] = useAddress("spec");
  const [without, setWithout] = useAddress<"nodes" | "groups">("without");
  const [dialog, setDialog] = useState<"create" | Pool>();
  const filter = { group_id: group, spec_id: spec, without };

  const columns: Column<Pool>[] = [
    {
      title: t("common.name"),
      dataIndex: "name",
      sort: "name",
      render: (name, pool) => (
        <>
          <span className="tags">
            <Typography.Text strong>{name}</Typography.Text>
            {pool.is_default && <Tag color="blue">{t("pools.default")}</Tag>}
          </span>
          <Typography.Text type="secondary" className="reason" style={{ maxWidth: 150 }}>
            {[operator && pool.miner_name, pool.description].filter(Boolean).join(" · ")}
          </Typography.Text>
        </>
      ),
    },
    {
      title: t("pools.offers"),
      key: "offers",
      render: (_, pool) =>
        pool.notebook_specs.length + pool.training_specs.length > 0 ? (
          <>
            <Offers title={t("pools.forNotebooks")} specs={pool.notebook_specs} />
            <Offers title={t("pools.forTraining")} specs={pool.training_specs} />
          </>
        ) : (
          <Typography.Text type="secondary">{t("pools.nothing")}</Typography.Text>
        ),
    },
    { title: t("pools.whoMay"), key: "groups", render: (_, pool) => <WhoMay pool={pool} /> },
    { title: t("menu.nodes"), key: "nodes", render: (_, pool) => <PoolNodes pool={pool} /> },
    {
      title: t("nodes.resources"),
      dataIndex: "usage",
      render: (usage: Pool["usage"]) => (usage.length ? <UsageList usage={usage} /> : "–"),
    },
    {
      key: "actions",
      render: (_, pool) => (
        <span className="tags">
          <Button size="small" onClick={() => setDialog(pool)}>
            {t("common.edit")}
          </Button>
          <Tooltip title={pool.is_default ? t("pools.defaultStays") : undefined}>
            <Button
              size="small"
              danger
              disabled={pool.is_default}
              onClick={() =>
                confirm({
                  title: t("common.deleteAsk", { name: pool.name }),
                  content: t("pools.deleteHint"),
                  okText: t("common.delete"),
                  action: () => ok(api.DELETE("/api/v1/pools/{pool_id}", { params: { path: { pool_id: pool.id } } })),
                })
              }
            >
              {t("common.delete")}
            </Button>
          </Tooltip>
        </span>
      ),
    },
  ];
  const chooser = (label: string, value: string | undefined, onChange: (value: string | undefined) => void) => ({
    allowClear: true,
    "aria-label": label,
    placeholder: label,
    value,
    onChange,
    style: { minWidth: 150 },
  });
  const named = ({ id, name }: { id: string; name: string }) => ({ value: id, label: name });
  return (
    <>
      <ListPage
        title={t("menu.pools")}
        about={t("pools.about")}
        queryKey={["pools", filter]}
        load={(query) => ok(api.GET("/api/v1/pools", { params: { query: { ...query, ...filter, role: "miner" } } }))}
        columns={columns}
        rowKey={(pool) => pool.id}
        extra={
          <Button type="primary" onClick={() => setDialog("create")}>
            {t("pools.create")}
          </Button>
        }
        filtered={Boolean(group || spec || without)}
        filters={
          <MoreFilters set={[group, spec, without].filter(Boolean).length}>
            <LoadedSelect
              {...chooser(t("pools.group"), group, setGroup)}
              queryKey="groups"
              load={(query) => ok(api.GET("/api/v1/groups", { params: { query } }))}
              option={named}
            />
            <LoadedSelect
              {...chooser(t("common.spec"), spec, setSpec)}
              queryKey="specs"
              load={(query) => ok(api.GET("/api/v1/specs", { params: { query } }))}
              option={named}
            />
            <Filter
              label={t("nodes.fault")}
              value={without}
              onChange={setWithout}
              options={[
                { value: "nodes", label: t("pools.withoutNodes") },
                { value: "groups", label: t("pools.withoutGroups") },
              ]}
            />
          </MoreFilters>
        }
        file={{ path: "/api/v1/pools", query: { ...filter, role: "miner" } }}
        empty={t("pools.empty")}
      />
      {dialog && <PoolDialog pool={dialog === "create" ? undefined : dialog} onClose={() => setDialog(undefined)} />}
    </>
  );
}

/** The first few, and how many more. */
function PoolNodes({ pool }: { pool: Pool }) {
  const { t } = useTranslation();
  if (pool.nodes.length + pool.arriving.length === 0)
    return <Typography.Text type="secondary">{t("pools.noNodes")}</Typography.Text>;
  return (
    <span className="tags" style={{ maxWidth: 200 }}>
      {pool.nodes.slice(0, MOST).map((node) => (
        <Link key={node.id} to={`/nodes/${node.id}`}>
          {node.name}
        </Link>
      ))}
      {pool.nodes.length > MOST && (
        <Link to={`/nodes?pool=${pool.id}`}>{t("pools.more", { count: pool.nodes.length - MOST })}</Link>
      )}
      {pool.arriving.map((node) => (
        <Tooltip key={node.id} title={t("nodes.movingHint")}>
          <Tag color="blue" style={{ marginInlineEnd: 0 }} tabIndex={0}>
            {t("pools.arriving", { node: node.name })}
          </Tag>
        </Tooltip>
      ))}
    </span>
  );
}

/** What the pool offers: at what price, how much of it is free; what never fits stands out. */
function Offers({ title, specs }: { title: string; specs: Offer[] }) {
  const { t } = useTranslation();
  if (specs.length === 0) return null;
  return (
    <div className="tags breaking" style={{ display: "flex", maxWidth: 224, marginBlock: 2 }}>
      <Typography.Text type="secondary">{title}</Typography.Text>
      {specs.map((spec) => (
        <Tooltip
          key={spec.id}
          title={
            spec.at_best
              ? t("pools.offer", { price: formatUnc(spec.price), free: spec.free_now, most: spec.at_best })
              : t("pools.neverFits", { price: formatUnc(spec.price) })
          }
        >
          <Tag
            color={spec.at_best ? (spec.free_now ? "green" : undefined) : "red"}
            style={{ marginInlineEnd: 0 }}
            tabIndex={0}
          >
            {spec.name}
            {spec.at_best === 0 && ` · ${t("pools.never")}`}
          </Tag>
        </Tooltip>
      ))}
    </div>
  );
}

function WhoMay({ pool }: { pool: Pool }) {
  const { t } = useTranslation();
  if (pool.open_to_all) return <Tag color="green">{t("pools.open")}</Tag>;
  if (pool.groups.length === 0) return <Typography.Text type="secondary">{t("pools.nobody")}</Typography.Text>;
  return (
    <span className="tags" style={{ maxWidth: 160 }}>
      {pool.groups.map((group) => (
        <Link key={group.id} to={`/groups/${group.id}`}>
          {group.name}
        </Link>
      ))}
    </span>
  );
}
