import { Form, Input, Radio, Select, Space, Typography } from "antd";
import { useTranslation } from "react-i18next";

/** What becomes of work on a node that changes its pool. */
export interface Moving {
  when_busy?: "wait" | "drain";
  reason?: string;
  grace_minutes?: number;
}
export const GRACE = 10;
const MINUTES = [0, 5, 10, 30, 60, 240, 1440, 10_080];

/** Why, and how long renters have: they read both. */
export function DrainFields() {
  const { t } = useTranslation();
  const told = (minutes: number) =>
    minutes === 0
      ? t("nodes.graceNone")
      : minutes < 60
        ? t("nodes.graceMinutes", { count: minutes })
        : minutes < 1440
          ? t("nodes.graceHours", { count: minutes / 60 })
          : t("nodes.graceDays", { count: minutes / 1440 });
  return (
    <>
      <Form.Item
        label={t("nodes.reason")}
        name="reason"
        extra={t("nodes.reasonHint")}
        rules={[{ required: true, whitespace: true, message: t("common.required") }]}
      >
        <Input.TextArea rows={2} maxLength={500} showCount />
      </Form.Item>
      <Form.Item label={t("nodes.grace")} name="grace_minutes" extra={t("nodes.graceHint")} initialValue={GRACE}>
        <Select options={MINUTES.map((value) => ({ value, label: told(value) }))} style={{ maxWidth: 220 }} />
      </Form.Item>
    </>
  );
}

/** Wait, drain, or leave the dialog: asked where nodes that change their pool are busy. */
export function WhenBusyFields() {
  const { t } = useTranslation();
  const form = Form.useFormInstance<Moving>();
  const chosen = Form.useWatch("when_busy", form);
  const choice = (value: "wait" | "drain", title: string, hint: string) => (
    <Radio value={value}>
      {title}
      <Typography.Text type="secondary" className="reason" style={{ maxWidth: "none" }}>
        {hint}
      </Typography.Text>
    </Radio>
  );
  return (
    <>
      <Form.Item
        label={t("nodes.whenBusy")}
        name="when_busy"
        rules={[{ required: true, message: t("nodes.whenBusyMissing") }]}
      >
        <Radio.Group>
          <Space orientation="vertical">
            {choice("wait", t("nodes.wait"), t("nodes.waitHint"))}
            {choice("drain", t("nodes.drainFirst"), t("nodes.drainFirstHint"))}
          </Space>
        </Radio.Group>
      </Form.Item>
      {chosen === "drain" && <DrainFields />}
    </>
  );
}
