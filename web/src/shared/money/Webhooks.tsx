import { App, Button, Checkbox, Drawer, Form, Input, Switch, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { FormDialog } from "../ui/FormDialog";
import { useAct, useConfirm } from "../ui/feedback";
import { type Column, ListPage } from "../ui/ListPage";
import { useShowOnce } from "../ui/ShowOnce";
import { Deliveries } from "./Deliveries";
import { KINDS } from "./noticeSettings";

type Webhook = Schemas["WebhookOut"];

/** Signed messages about one's money, to URLs of one's own. */
export function Webhooks() {
  const { t } = useTranslation();
  const act = useAct();
  const confirm = useConfirm();
  const [editing, setEditing] = useState<Webhook | "new">();
  const showSecret = useSecret();
  const [shown, setShown] = useState<Webhook>();
  const columns: Column<Webhook>[] = [
    {
      title: t("webhooks.url"),
      dataIndex: "url",
      render: (url) => (
        <Typography.Text style={{ maxWidth: 240 }} ellipsis={{ tooltip: url }}>
          {url}
        </Typography.Text>
      ),
    },
    {
      title: t("webhooks.kinds"),
      dataIndex: "kinds",
      render: (kinds: Webhook["kinds"]) => (
        <span className="tags" style={{ maxWidth: 240 }}>
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
            <Button size="small" onClick={() => setEditing(hook)}>
              {t("common.edit")}
            </Button>
            <Button
              size="small"
              onClick={() =>
                confirm({
                  title: t("webhooks.rotateAsk"),
                  content: t("webhooks.rotateHint"),
                  okText: t("webhooks.rotate"),
                  action: async () =>
                    showSecret(await ok(api.POST("/api/v1/webhooks/{webhook_id}/rotate-secret", { params }))),
                })
              }
            >
              {t("webhooks.rotate")}
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
        file={{ path: "/api/v1/webhooks" }}
        extra={
          <Button type="primary" onClick={() => setEditing("new")}>
            {t("webhooks.create")}
          </Button>
        }
        empty={t("webhooks.empty")}
        local
      />
      {editing && (
        <WebhookDialog webhook={editing === "new" ? undefined : editing} onClose={() => setEditing(undefined)} />
      )}
      <Drawer
        title={t("webhooks.deliveries")}
        open={Boolean(shown)}
        onClose={() => setShown(undefined)}
        size={880}
        destroyOnHidden
      >
        {shown && <Deliveries about={shown.url} of={{ webhook_id: shown.id }} />}
      </Drawer>
    </>
  );
}

/** Shows a webhook's secret, this once. */
function useSecret() {
  const { t } = useTranslation();
  const showOnce = useShowOnce();
  return (made: Schemas["WebhookCreated"]) =>
    showOnce({
      title: t(made.old_secret_until ? "webhooks.rotated" : "webhooks.made"),
      hint: t("webhooks.secretHint"),
      label: t("webhooks.secret"),
      text: made.secret,
    });
}

function WebhookDialog({ webhook, onClose }: { webhook: Webhook | undefined; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const showSecret = useSecret();
  const submit = (body: Schemas["WebhookCreate"]): Promise<Webhook | Schemas["WebhookCreated"]> =>
    webhook
      ? ok(api.PATCH("/api/v1/webhooks/{webhook_id}", { params: { path: { webhook_id: webhook.id } }, body }))
      : ok(api.POST("/api/v1/webhooks", { body }));
  return (
    <FormDialog
      title={t(webhook ? "webhooks.edit" : "webhooks.create")}
      name="webhook"
      open
      onClose={onClose}
      initialValues={{ url: webhook?.url, kinds: webhook?.kinds ?? KINDS }}
      submit={submit}
      onDone={(made) => ("secret" in made ? showSecret(made) : message.success(t("wallet.changed")))}
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
