import { useAddress } from "@shared/address";
import { api, ok, type Schemas } from "@shared/api/client";
import { said } from "@shared/i18n/said";
import { useRole } from "@shared/session";
import { When } from "@shared/ui/bits";
import { FormDialog } from "@shared/ui/FormDialog";
import { Filter } from "@shared/ui/Filter";
import { useConfirm } from "@shared/ui/feedback";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { Alert, Badge, Button, Flex, Form, Input, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { Join, Networks, NewToken } from "./SitesDialogs";

type Site = Schemas["SiteOut"];
const CLOCK_OFF_MS = 5000;

/** Places with one engine each: a host, or a cluster. A site's agent brings its nodes. */
export function Sites() {
  const { t } = useTranslation();
  const confirm = useConfirm();
  const operator = useRole();
  const [clock, setClock] = useAddress<"off">("clock");
  const [creating, setCreating] = useAddress<"yes">("create");
  const [created, setCreated] = useState<Schemas["SiteCreated"]>();
  const [rotated, setRotated] = useState<Schemas["SiteCreated"]>();
  const [networks, setNetworks] = useState<Site>();
  const filter = { clock_off: clock && true };

  const columns: Column<Site>[] = [
    {
      title: t("common.name"),
      dataIndex: "name",
      sort: "name",
      render: (name) => <Typography.Text strong>{name}</Typography.Text>,
    },
    {
      title: t("common.status"),
      key: "status",
      render: (_, site) => (
        <>
          <Badge
            status={site.connected ? "success" : "default"}
            text={t(site.connected ? "sites.connected" : site.last_seen_at ? "sites.silent" : "sites.neverSeen")}
          />
          {site.last_seen_at && !site.connected && (
            <Typography.Text type="secondary" className="reason">
              {t("sites.lastSeen")} <When at={site.last_seen_at} />
            </Typography.Text>
          )}
          {site.flags.map((flag) => (
            <Typography.Text key={flag} type="danger" className="reason">
              {said(flag)}
            </Typography.Text>
          ))}
        </>
      ),
    },
    {
      title: t("menu.nodes"),
      dataIndex: "nodes",
      align: "right",
      render: (count, site) => <Link to={`/nodes?site=${site.id}`}>{count}</Link>,
    },
    ...(operator ? [{ title: t("sites.miner"), dataIndex: "miner_name" }] : []),
    { title: t("nodes.agent"), dataIndex: "agent_version", render: (version) => version || "–" },
    {
      title: t("sites.clock"),
      dataIndex: "clock_offset_ms",
      render: (offset: number, site) =>
        site.last_seen_at ? (
          <Typography.Text type={Math.abs(offset) > CLOCK_OFF_MS ? "danger" : undefined} className="number">
            {(Math.round(offset / 100) / 10 || 0).toFixed(1)} s
          </Typography.Text>
        ) : (
          "–"
        ),
    },
    {
      title: t("sites.pages"),
      dataIndex: "page_networks",
      render: (found: string[]) =>
        found.length > 0 ? (
          <Flex vertical align="start" gap={4}>
            {found.slice(0, 2).map((one) => (
              <Tag key={one}>{one}</Tag>
            ))}
            {found.length > 2 && <Tag title={found.slice(2).join(", ")}>+{found.length - 2}</Tag>}
          </Flex>
        ) : (
          <Typography.Text type="secondary">{t("sites.noPages")}</Typography.Text>
        ),
    },
    { title: t("common.created"), dataIndex: "created_at", sort: "created_at", render: (at) => <When at={at} /> },
    {
      key: "actions",
      render: (_, site) => (
        <Flex gap="small">
          {operator && (
            <Button size="small" onClick={() => setNetworks(site)}>
              {t("sites.networks")}
            </Button>
          )}
          {!site.local && (
            <Button
              size="small"
              onClick={() =>
                confirm({
                  title: t("sites.rotateAsk", { name: site.name }),
                  content: t("sites.rotateHint"),
                  okText: t("sites.rotate"),
                  action: async () =>
                    setRotated(
                      await ok(api.POST("/api/v1/sites/{site_id}/token", { params: { path: { site_id: site.id } } })),
                    ),
                })
              }
            >
              {t("sites.rotate")}
            </Button>
          )}
          <Button
            size="small"
            danger
            onClick={() =>
              confirm({
                title: t("common.deleteAsk", { name: site.name }),
                content: t("sites.deleteHint"),
                okText: t("common.delete"),
                action: () => ok(api.DELETE("/api/v1/sites/{site_id}", { params: { path: { site_id: site.id } } })),
              })
            }
          >
            {t("common.delete")}
          </Button>
        </Flex>
      ),
    },
  ];
  return (
    <>
      <ListPage
        title={t("menu.sites")}
        about={t("sites.about")}
        queryKey={["sites", filter]}
        load={(query) => ok(api.GET("/api/v1/sites", { params: { query: { ...query, ...filter } } }))}
        columns={columns}
        rowKey={(site) => site.id}
        extra={
          <Button type="primary" onClick={() => setCreating("yes")}>
            {t("sites.create")}
          </Button>
        }
        filtered={Boolean(clock)}
        filters={
          <Filter
            label={t("nodes.fault")}
            value={clock}
            onChange={setClock}
            options={[{ value: "off", label: t("sites.clockOff") }]}
          />
        }
        file={{ path: "/api/v1/sites", query: filter }}
        empty={t("sites.empty")}
      />
      <FormDialog<Schemas["SiteCreate"], Schemas["SiteCreated"]>
        title={t("sites.create")}
        name="site"
        open={Boolean(creating)}
        onClose={() => setCreating(undefined)}
        submit={(body) => ok(api.POST("/api/v1/sites", { body }))}
        onDone={setCreated}
      >
        <Alert type="info" showIcon style={{ marginBottom: 16 }} title={t("sites.distantPages")} />
        <Form.Item
          label={t("common.name")}
          name="name"
          extra={t("sites.nameHint")}
          rules={[{ required: true, whitespace: true, message: t("common.required") }]}
        >
          <Input autoFocus maxLength={64} placeholder="basement" />
        </Form.Item>
      </FormDialog>
      {created && <Join site={created} onClose={() => setCreated(undefined)} />}
      {rotated && <NewToken site={rotated} onClose={() => setRotated(undefined)} />}
      <Networks site={networks} onClose={() => setNetworks(undefined)} />
    </>
  );
}
