import { App, Button, Form, Input, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { formatUnc } from "../format";
import { useRole } from "../session";
import { FormDialog } from "../ui/FormDialog";

/** An operator gives back what was paid for an order that has ended, with a reason. */
export function CreditOrder({ order }: { order: Schemas["OrderDetail"] }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const operator = useRole();
  const [open, setOpen] = useState(false);
  if (!operator || order.state !== "settled" || Number(order.cost) <= 0) return null;
  return (
    <>
      <Button size="small" onClick={() => setOpen(true)}>
        {t("orders.credit")}
      </Button>
      <FormDialog<{ amount: string; reason: string }, unknown>
        title={t("orders.creditTitle", { name: order.workload })}
        name="credit"
        open={open}
        onClose={() => setOpen(false)}
        initialValues={{ amount: order.cost }}
        okText={t("orders.credit")}
        submit={(body) =>
          ok(api.POST("/api/v1/orders/{order_id}/credit", { params: { path: { order_id: order.id } }, body }))
        }
        onDone={() => message.success(t("recharges.done"))}
        intro={
          <Typography.Paragraph type="secondary">
            {t("orders.creditHint", { cost: formatUnc(order.cost) })}
          </Typography.Paragraph>
        }
      >
        <Form.Item
          name="amount"
          label={t("recharges.amount")}
          rules={[
            { required: true, message: t("common.required") },
            { pattern: /^\d{1,10}(\.\d{1,6})?$/, message: t("common.uncRule") },
          ]}
        >
          <Input inputMode="decimal" suffix="UNC" autoFocus style={{ maxWidth: 240 }} />
        </Form.Item>
        <Form.Item
          name="reason"
          label={t("orders.creditReason")}
          extra={t("orders.creditReasonHint")}
          rules={[{ required: true, whitespace: true, message: t("common.required") }]}
        >
          <Input.TextArea rows={2} maxLength={2000} />
        </Form.Item>
      </FormDialog>
    </>
  );
}
