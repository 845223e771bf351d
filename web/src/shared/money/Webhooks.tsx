import { App, Button, Checkbox, Drawer, Flex, Form, Input, Switch, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { said } from "../i18n/said";
import { Copyable, When } from "../ui/bits";
import { FormDialog } from "../ui/FormDialog";
import { useAct, useConfirm } from "../ui/feedback";
import { type Column, ListPage } from "../ui/ListPage";
import { KINDS } from "./Notices";

type Webhook = Schemas["WebhookOut"];
type Delivery = Schemas["DeliveryOut"];
const STATE_COLOURS: Record<Schemas["DeliveryState"], string> = { waiting: "gold", delivered: "green", dead: "red" };

/** Signed messages about one's money, to URLs of one's own. */
export function Webhooks() {
  const { t } = useTranslation();
  const act = useAct();
  const confirm = useConfirm();
  const [creating, setCreating] = useState(false);
  const [shown, setShown] = useState<Webhook>();
  const columns: Column<Webhook>[] = [
    {
      title: t("webhooks.url"),
      dataIndex: "url",
      render: (url) => (
        <Typography.Text style={{ maxWidth: 360 }} ellipsis={{ tooltip: url }}>
          {url}
        </Typography.Text>
      ),
    },
    {
      title: t("webhooks.kinds"),
      dataIndex: "kinds",
      render: (kinds: Webhook["kinds"]) => (
        <span className="tags">
          {kinds.map((kind) => (
            <Tag key={kind} style={{ marginInlineEnd: 0 }}>
              {t(`notices.kinds.${kind}`)}
            </Tag>
          ))}
        </span>
      ),
    },
    {
      title: t("webhooks.deliveries"),
      key: "deliveries",
      render: (_, hook) => (
        <Button type="link" style={{ padding: 0 }} onClick={() => setShown(hook)}>
          {hook.dead > 0 ? (
            <Typography.Text type="danger">{t("webhooks.deadCount", { count: hook.dead })}</Typography.Text>
          ) : hook.waiting > 0 ? (
            t("webhooks.waitingCount", { count: hook.waiting })
          ) : (
            t("webhooks.show")
          )}
        </Button>
      ),
    },
    {
      title: t("webhooks.active"),
      dataIndex: "active",
      render: (active, hook) => (
        <Switch
          checked={active}
          aria-label={t("webhooks.active")}
          onChange={(on) =>
            act(() =>
              ok(
                api.PATCH("/api/v1/webhooks/{webhook_id}", {
                  params: { path: { webhook_id: hook.id } },
                  body: { active: on },
                }),
              ),
            )
          }
        />
      ),
    },
    {
      key: "actions",
      render: (_, hook) => {
        const params = { path: { webhook_id: hook.id } };
        return (
          <span className="tags">
            <Button
              size="small"
              onClick={() =>
                act(() => ok(api.POST("/api/v1/webhooks/{webhook_id}/test", { params })), t("webhooks.tested"))
              }
            >
              {t("webhooks.test")}
            </Button>
            <Button
              size="small"
              danger
              onClick={() =>
                confirm({
                  title: t("webhooks.deleteAsk"),
                  content: hook.url,
                  okText: t("common.delete"),
                  action: () => ok(api.DELETE("/api/v1/webhooks/{webhook_id}", { params })),
                })
              }
            >
              {t("common.delete")}
            </Button>
          </span>
        );
      },
    },
  ];
  return (
    <>
      <ListPage
        about={t("webhooks.about")}
        queryKey={["webhooks"]}
        load={({ limit, cursor }) => ok(api.GET("/api/v1/webhooks", { params: { query: { limit, cursor } } }))}
        columns={columns}
        rowKey={(hook) => hook.id}
        searchable={false}
        extra={
          <Button type="primary" onClick={() => setCreating(true)}>
            {t("webhooks.create")}
          </Button>
        }
        empty={t("webhooks.empty")}
        local
      />
      <CreateWebhook open={creating} onClose={() => setCreating(false)} />
      <Drawer
        title={t("webhooks.deliveries")}
        open={Boolean(shown)}
        onClose={() => setShown(undefined)}
        size={880}
        destroyOnHidden
      >
        {shown && <Deliveries webhook={shown} />}
      </Drawer>
    </>
  );
}

function CreateWebhook({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const { modal } = App.useApp();
  return (
    <FormDialog<Schemas["WebhookCreate"], Schemas["WebhookCreated"]>
      title={t("webhooks.create")}
      name="webhook"
      open={open}
      onClose={onClose}
      initialValues={{ kinds: KINDS }}
      submit={(body) => ok(api.POST("/api/v1/webhooks", { body }))}
      onDone={(made) =>
        modal.success({
          title: t("webhooks.made"),
          width: 560,
          content: (
            <>
              <Typography.Paragraph type="secondary">{t("webhooks.secretHint")}</Typography.Paragraph>
              <Copyable text={made.secret} label={t("webhooks.secret")} />
            </>
          ),
        })
      }
    >
      <Form.Item
        name="url"
        label={t("webhooks.url")}
        rules={[{ required: true, message: t("common.required") }]}
        extra={t("webhooks.urlHint")}
      >
        <Input placeholder="https://example.org/utcloud" autoFocus />
      </Form.Item>
      <Form.Item
        name="kinds"
        label={t("webhooks.kinds")}
        rules={[{ required: true, type: "array", min: 1, message: t("common.required") }]}
      >
        <Checkbox.Group options={KINDS.map((value) => ({ value, label: t(`notices.kinds.${value}`) }))} />
      </Form.Item>
    </FormDialog>
  );
}

function Deliveries({ webhook }: { webhook: Webhook }) {
  const { t } = useTranslation();
  const act = useAct();
  const columns: Column<Delivery>[] = [
    { title: t("notices.at"), dataIndex: "created_at", render: (at) => <When at={at} /> },
    {
      title: t("notices.kind"),
      dataIndex: "kind",
      render: (kind) => t([`notices.kinds.${kind}`, "webhooks.ping"] as never),
    },
    {
      title: t("common.status"),
      dataIndex: "state",
      render: (state: Delivery["state"], one) => (
        <>
          <Tag color={STATE_COLOURS[state]}>{t(`webhooks.states.${state}`)}</Tag>
          {one.error && <span className="reason">{said(one.error)}</span>}
        </>
      ),
    },
    { title: t("webhooks.attempts"), dataIndex: "attempts", align: "right" },
    { title: t("webhooks.next"), dataIndex: "next_at", render: (at) => <When at={at} /> },
    {
      key: "actions",
      render: (_, one) =>
        one.state !== "delivered" && (
          <Button
            size="small"
            onClick={() =>
              act(
                () =>
                  ok(api.POST("/api/v1/deliveries/{delivery_id}/retry", { params: { path: { delivery_id: one.id } } })),
                t("webhooks.retried"),
              )
            }
          >
            {t("webhooks.retry")}
          </Button>
        ),
    },
  ];
  return (
    <Flex vertical gap="middle">
      <Typography.Text code>{webhook.url}</Typography.Text>
      <ListPage
        queryKey={["deliveries", webhook.id]}
        load={({ limit, cursor }) =>
          ok(api.GET("/api/v1/deliveries", { params: { query: { limit, cursor, webhook_id: webhook.id } } }))
        }
        columns={columns}
        rowKey={(one) => one.id}
        searchable={false}
        expanded={(one) => (
          <pre style={{ margin: 0, whiteSpace: "pre-wrap" }}>{JSON.stringify(one.payload, null, 2)}</pre>
        )}
        empty={t("webhooks.noDeliveries")}
        local
      />
    </Flex>
  );
}
