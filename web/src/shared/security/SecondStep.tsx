import { KeyOutlined, SafetyOutlined } from "@ant-design/icons";
import { Button, Flex, Form, Input, Typography } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { type Asked, passkeysWork, type Step } from "./passkeys";

interface Props {
  asked: Asked;
  busy: boolean;
  /** Why the last try was refused. */
  refusal: ReactNode;
  onStep: (step: Step) => void;
  onPasskey: () => void;
  onBack: () => void;
}

/** The second step of a login: a code of the app, a recovery code, or a passkey. */
export function SecondStep({ asked, busy, refusal, onStep, onPasskey, onBack }: Props) {
  const { t } = useTranslation();
  const passkey = asked.methods.includes("passkey") && passkeysWork(asked.passkey?.rpId as string | undefined);
  const code = asked.methods.some((method) => method !== "passkey");
  return (
    <Form<{ code: string }>
      name="second-step"
      layout="vertical"
      requiredMark={false}
      onFinish={(values) => onStep({ code: values.code.trim(), passkey: null })}
    >
      {passkey && (
        <Button
          type={asked.methods[0] === "passkey" ? "primary" : "default"}
          block
          size="large"
          icon={<KeyOutlined aria-hidden />}
          loading={busy}
          onClick={onPasskey}
          style={{ marginBottom: 16 }}
        >
          {t("security.usePasskey")}
        </Button>
      )}
      {code && (
        <Form.Item
          label={t("security.code")}
          name="code"
          extra={asked.methods.includes("totp") ? t("security.codeHint") : t("security.recoveryHint")}
          rules={[{ required: true, message: t("security.codeMissing") }]}
        >
          <Input
            prefix={<SafetyOutlined aria-hidden />}
            autoComplete="one-time-code"
            autoCapitalize="none"
            maxLength={64}
            autoFocus
            size="large"
          />
        </Form.Item>
      )}
      {!code && !passkey && <Typography.Paragraph>{t("security.passkeyElsewhere")}</Typography.Paragraph>}
      {refusal}
      <Flex vertical gap="small">
        {code && (
          <Button
            type={asked.methods[0] === "passkey" && passkey ? "default" : "primary"}
            htmlType="submit"
            block
            size="large"
            loading={busy}
          >
            {t("login.logIn")}
          </Button>
        )}
        <Button type="text" block onClick={onBack}>
          {t("security.back")}
        </Button>
      </Flex>
    </Form>
  );
}
