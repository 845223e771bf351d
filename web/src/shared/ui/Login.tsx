import { LockOutlined, UserOutlined } from "@ant-design/icons";
import { Alert, Button, Card, Flex, Form, Input, Typography, theme } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ApiError } from "../api/problem";
import { logIn } from "../session";
import { LanguageButton } from "./AccountMenu";
import { Brand } from "./Brand";

/** The login page of one end. `other` leads to the other end. */
export function Login({ end, other }: { end: "admin" | "console"; other: string }) {
  const { t } = useTranslation();
  const { token } = theme.useToken();
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState("");

  const finish = async ({ username, password }: { username: string; password: string }) => {
    setBusy(true);
    setRefusal("");
    try {
      await logIn(username.trim(), password);
    } catch (error) {
      const problem = error instanceof ApiError ? error.problem : undefined;
      setRefusal([problem?.detail || t("problem.unreachable"), problem?.cure].filter(Boolean).join(" "));
    } finally {
      setBusy(false);
    }
  };

  return (
    <Flex
      component="main"
      align="center"
      justify="center"
      style={{
        minHeight: "100%",
        padding: 16,
        boxSizing: "border-box",
        background: `radial-gradient(1200px 600px at 20% 0%, ${token.colorPrimaryBg}, ${token.colorBgLayout})`,
      }}
    >
      <Card style={{ width: "100%", maxWidth: 400 }} styles={{ body: { padding: 32 } }}>
        <Flex justify="space-between" align="center" style={{ marginBottom: 24 }}>
          <Brand />
          <LanguageButton />
        </Flex>
        <Typography.Title level={3} style={{ marginTop: 0 }}>
          {t(`login.${end}.title`)}
        </Typography.Title>
        <Typography.Paragraph type="secondary">{t(`login.${end}.about`)}</Typography.Paragraph>
        <Form name="login" layout="vertical" onFinish={finish} requiredMark={false}>
          <Form.Item
            label={t("login.username")}
            name="username"
            rules={[{ required: true, message: t("login.usernameMissing") }]}
          >
            <Input
              prefix={<UserOutlined aria-hidden />}
              autoComplete="username"
              autoCapitalize="none"
              autoFocus
              size="large"
            />
          </Form.Item>
          <Form.Item
            label={t("login.password")}
            name="password"
            rules={[{ required: true, message: t("login.passwordMissing") }]}
          >
            <Input.Password prefix={<LockOutlined aria-hidden />} autoComplete="current-password" size="large" />
          </Form.Item>
          {refusal && <Alert type="error" showIcon role="alert" title={refusal} style={{ marginBottom: 16 }} />}
          <Button type="primary" htmlType="submit" block size="large" loading={busy}>
            {t("login.logIn")}
          </Button>
        </Form>
        <Typography.Paragraph type="secondary" style={{ margin: "16px 0 0", textAlign: "center" }}>
          <a href={other}>{t(`login.${end}.other`)}</a>
        </Typography.Paragraph>
      </Card>
    </Flex>
  );
}
