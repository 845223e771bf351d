import { api, ok, type Schemas } from "@shared/api/client";
import { Unc } from "@shared/ui/bits";
import { FormDialog } from "@shared/ui/FormDialog";
import { useQuery } from "@tanstack/react-query";
import { Button, Flex, Form, Input, Table, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";

type Held = Schemas["HeldOut"];
type Choice = { held: Held; to: "miner" | "payers" };

/** For operators: what miners earned while they may not have work. It waits for a decision with a reason. */
export function EarningsHeld() {
  const { t } = useTranslation();
  const [choice, setChoice] = useState<Choice>();
  const held = useQuery({
    queryKey: ["earnings", "held"],
    queryFn: () => ok(api.GET("/api/v1/earnings/held", { params: { query: { limit: 500 } } })),
  });
  const items = held.data?.items ?? [];
  if (items.length === 0) return null;
  return (
    <>
      <Typography.Title level={5} style={{ marginBottom: 0 }}>
        {t("held.title")}
      </Typography.Title>
      <Typography.Text type="secondary">{t("held.about")}</Typography.Text>
      <Table<Held>
        size="small"
        rowKey="miner_id"
        pagination={false}
        scroll={{ x: "max-content" }}
        dataSource={items}
        columns={[
          { title: t("sites.miner"), dataIndex: "miner_name" },
          { title: t("held.amount"), dataIndex: "amount", align: "right", render: (value) => <Unc value={value} /> },
          {
            title: t("common.status"),
            dataIndex: "suspended",
            render: (suspended) => suspended && <Tag color="error">{t("held.suspended")}</Tag>,
          },
          {
            key: "actions",
            render: (_, one) => (
              <Flex gap="small">
                <Button size="small" onClick={() => setChoice({ held: one, to: "miner" })}>
                  {t("held.release")}
                </Button>
                <Button size="small" danger onClick={() => setChoice({ held: one, to: "payers" })}>
                  {t("held.return")}
                </Button>
              </Flex>
            ),
          },
        ]}
      />
      <FormDialog<{ reason: string }, Held>
        title={t(choice?.to === "payers" ? "held.returnAsk" : "held.releaseAsk", { name: choice?.held.miner_name })}
        name="held"
        open={Boolean(choice)}
        onClose={() => setChoice(undefined)}
        danger={choice?.to === "payers"}
        okText={t(choice?.to === "payers" ? "held.return" : "held.release")}
        submit={({ reason }) =>
          ok(
            api.POST("/api/v1/earnings/held/{miner_id}", {
              params: { path: { miner_id: choice?.held.miner_id ?? "" } },
              body: { to: choice?.to ?? "miner", reason },
            }),
          )
        }
      >
        <Form.Item
          label={t("held.reason")}
          name="reason"
          extra={t("held.reasonHint")}
          rules={[{ required: true, whitespace: true, message: t("common.required") }]}
        >
          <Input.TextArea autoFocus rows={3} maxLength={500} />
        </Form.Item>
      </FormDialog>
    </>
  );
}
