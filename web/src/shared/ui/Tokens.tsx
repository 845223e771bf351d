import { Button, Form, Input, InputNumber, Modal, Tag } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { ProofDialog } from "../security/ProofDialog";
import { useSession } from "../session";
import { When } from "./bits";
import { useConfirm } from "./feedback";
import { type Column, ListPage } from "./ListPage";
import { useShowOnce } from "./ShowOnce";

type Token = Schemas["TokenOut"];
type TokenValues = Pick<Schemas["TokenCreate"], "name" | "expires_in_days">;

/** One's API tokens: list, create, revoke. */
export function Tokens({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const { user } = useSession();
  const confirm = useConfirm();
  const showOnce = useShowOnce();
  const [creating, setCreating] = useState(false);

  const columns: Column<Token>[] = [
    { title: t("common.name"), dataIndex: "name" },
    { title: t("tokens.token"), dataIndex: "hint", render: (hint) => <code>{hint}</code> },
    {
      title: t("tokens.expires"),
      dataIndex: "expires_at",
      render: (at) => (at ? <When at={at} /> : t("tokens.never")),
    },
    { title: t("tokens.used"), dataIndex: "last_used_at", render: (at) => <When at={at} /> },
    {
      key: "actions",
      render: (_, token) =>
        token.revoked_at ? (
          <Tag>{t("tokens.revoked")}</Tag>
        ) : (
          <Button
            size="small"
            danger
            onClick={() =>
              confirm({
                title: t("tokens.revokeAsk", { name: token.name }),
                okText: t("tokens.revoke"),
                action: () =>
                  ok(api.DELETE("/api/v1/auth/tokens/{token_id}", { params: { path: { token_id: token.id } } })),
              })
            }
          >
            {t("tokens.revoke")}
          </Button>
        ),
    },
  ];

  return (
    <>
      <Modal title={t("account.tokens")} open={open} onCancel={onClose} footer={null} width={760} destroyOnHidden>
        <ListPage
          about={t("tokens.about")}
          queryKey={["tokens"]}
          load={(query) => ok(api.GET("/api/v1/auth/tokens", { params: { query } }))}
          columns={columns}
          rowKey={(token) => token.id}
          searchable={false}
          empty={t("tokens.empty")}
          extra={
            <Button type="primary" onClick={() => setCreating(true)}>
              {t("tokens.create")}
            </Button>
          }
        />
      </Modal>
      <ProofDialog<TokenValues, Schemas["TokenCreated"]>
        title={t("tokens.create")}
        name="create-token"
        open={creating}
        onClose={() => setCreating(false)}
        initialValues={{ name: "api", expires_in_days: 90 }}
        submit={(proof, values) =>
          ok(api.POST("/api/v1/auth/tokens", { body: { ...values, ...proof, username: user.username } }))
        }
        onDone={({ token }) => showOnce({ title: t("tokens.created"), label: t("tokens.token"), text: token })}
      >
        <Form.Item label={t("common.name")} name="name" rules={[{ required: true, message: t("common.required") }]}>
          <Input />
        </Form.Item>
        <Form.Item label={t("tokens.days")} name="expires_in_days" extra={t("tokens.daysHint")}>
          <InputNumber min={1} max={3650} />
        </Form.Item>
      </ProofDialog>
    </>
  );
}
