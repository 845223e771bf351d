import { Form, Input } from "antd";
import { useTranslation } from "react-i18next";

/** The field `grant`: an amount of UNC that a new user begins with; 0 for none. */
export function GrantField({ label }: { label: string }) {
  const { t } = useTranslation();
  return (
    <Form.Item
      label={label}
      name="grant"
      extra={t("applications.grantHint")}
      rules={[
        { required: true, message: t("common.required") },
        { pattern: /^\d+(\.\d{1,6})?$/, message: t("common.uncRule") },
      ]}
    >
      <Input inputMode="decimal" suffix="UNC" style={{ width: 220 }} />
    </Form.Item>
  );
}
