import { Form, Input } from "antd";
import { useTranslation } from "react-i18next";

/** How one will log in, and be called. */
export function AccountFields() {
  const { t } = useTranslation();
  return (
    <>
      <Form.Item
        label={t("login.username")}
        name="username"
        extra={t("users.usernameHint")}
        rules={[{ required: true, message: t("login.usernameMissing") }]}
      >
        <Input autoComplete="username" autoCapitalize="none" maxLength={64} autoFocus />
      </Form.Item>
      <Form.Item
        label={t("login.password")}
        name="password"
        extra={t("users.passwordRule")}
        rules={[
          { required: true, message: t("login.passwordMissing") },
          { min: 10, message: t("users.passwordRule") },
        ]}
      >
        <Input.Password autoComplete="new-password" maxLength={256} />
      </Form.Item>
      <Form.Item label={t("users.displayName")} name="display_name">
        <Input autoComplete="name" maxLength={255} />
      </Form.Item>
    </>
  );
}
