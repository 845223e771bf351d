import { useAddress } from "@shared/address";
import { api, ok, type Schemas } from "@shared/api/client";
import { useRole } from "@shared/session";
import { Copyable, When } from "@shared/ui/bits";
import { FormDialog } from "@shared/ui/FormDialog";
import { Filter } from "@shared/ui/Filter";
import { useConfirm } from "@shared/ui/feedback";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { Alert, Badge, Button, Form, Input, Modal, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";

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
    { title: t("common.created"), dataIndex: "created_at", sort: "created_at", render: (at) => <When at={at} /> },
    {
      key: "actions",
      render: (_, site) => (
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
    </>
  );
}

/** The one command that joins a server; its token is shown only now. */
function Join({ site, onClose }: { site: Schemas["SiteCreated"]; onClose: () => void }) {
  const { t } = useTranslation();
  const command = [
    "mkdir -p ~/.utcloud && (umask 077; echo",
    `${site.token} > ~/.utcloud/site-token) &&`,
    `UTCLOUD_SERVER_URL=${window.location.origin}`,
    "UTCLOUD_AGENT_TOKEN_FILE=~/.utcloud/site-token utcloud agent",
  ].join(" ");
  return (
    <Modal
      title={t("sites.joinTitle", { name: site.name })}
      open
      onOk={onClose}
      closable={false}
      keyboard={false}
      cancelButtonProps={{ style: { display: "none" } }}
      okText={t("common.copied")}
      mask={{ closable: false }}
      width={640}
    >
      <Typography.Paragraph>{t("sites.join")}</Typography.Paragraph>
      <Copyable text={command} label={t("sites.command")} />
      <Alert type="warning" showIcon style={{ marginTop: 16 }} title={t("sites.tokenOnce")} />
    </Modal>
  );
}
