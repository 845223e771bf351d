import { api, ok, type Schemas } from "@shared/api/client";
import { FrontPage } from "@shared/ui/FrontPage";
import { useRegistration } from "@shared/ui/Login";
import { PlainForm } from "@shared/ui/PlainForm";
import { Alert, Form, Input, Result, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { AccountFields } from "./AccountFields";

type Values = Schemas["ApplicationCreate"];

/** Anybody may ask for an account; an operator decides. */
export function Register() {
  const { t } = useTranslation();
  const { data: registration } = useRegistration();
  const [sent, setSent] = useState<string>();

  if (sent)
    return (
      <FrontPage title={t("register.title")}>
        <Result
          status="success"
          title={t("register.sent")}
          subTitle={t("register.sentHint", { username: sent })}
          extra={<Link to="/">{t("register.toLogin")}</Link>}
          style={{ padding: "8px 0 0" }}
        />
      </FrontPage>
    );
  if (registration && !registration.open)
    return (
      <FrontPage title={t("register.title")}>
        <Alert type="info" showIcon title={t("register.closed")} description={t("register.closedHint")} />
        <ToLogin />
      </FrontPage>
    );
  return (
    <FrontPage title={t("register.title")} about={t("register.about")}>
      <PlainForm<Values>
        name="register"
        okText={t("register.send")}
        submit={async (body) => {
          const received = await ok(api.POST("/api/v1/applications", { body }));
          setSent(received.username);
        }}
      >
        <AccountFields />
        <Form.Item label={t("users.email")} name="email" extra={t("register.emailHint")}>
          <Input inputMode="email" autoComplete="email" maxLength={254} />
        </Form.Item>
        <Form.Item label={t("register.note")} name="note" extra={t("register.noteHint")}>
          <Input.TextArea rows={3} maxLength={2000} />
        </Form.Item>
      </PlainForm>
      <ToLogin />
    </FrontPage>
  );
}

function ToLogin() {
  const { t } = useTranslation();
  return (
    <Typography.Paragraph type="secondary" style={{ margin: "16px 0 0", textAlign: "center" }}>
      {t("register.haveAccount")} <Link to="/">{t("register.toLogin")}</Link>
    </Typography.Paragraph>
  );
}
