import { LockOutlined, UserOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Form, Input, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok } from "../api/client";
import { ApiError, type Problem } from "../api/problem";
import { type Asked, asked, NoPasskeyError, type Step, withPasskey } from "../security/passkeys";
import { SecondStep } from "../security/SecondStep";
import { logIn } from "../session";
import { FrontPage } from "./FrontPage";

const REGISTER = "/console/register";

/** Whether one may apply for an account without being invited. */
export function useRegistration() {
  return useQuery({
    queryKey: ["registration"],
    queryFn: () => ok(api.GET("/api/v1/registration")),
    refetchInterval: false,
  });
}

interface Typed {
  username: string;
  password: string;
}

/** A first step that was right, and what the second may be. */
interface First extends Typed {
  asked: Asked;
}

/** The login page of one end. `other` leads to the other end. */
export function Login({ end, other }: { end: "admin" | "console"; other: string }) {
  const { t } = useTranslation();
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<Problem>();
  const [first, setFirst] = useState<First>();
  const { data: registration } = useRegistration();

  const finish = async ({ username, password }: Typed, step?: Step) => {
    setBusy(true);
    setRefusal(undefined);
    try {
      await logIn(username.trim(), password, step);
    } catch (error) {
      const wanted = asked(error);
      if (wanted) setFirst({ username, password, asked: wanted });
      else setRefusal(error instanceof ApiError && error.problem.detail ? error.problem : unexpected(error));
    } finally {
      setBusy(false);
    }
  };
  const unexpected = (error: unknown): Problem =>
    error instanceof NoPasskeyError
      ? { status: 0, title: "", detail: t("security.noPasskey"), code: "no_passkey" }
      : { status: 0, title: "", detail: t("problem.unreachable"), code: "unreachable" };

  /** A challenge is good for one try within minutes: each begins with a new one. */
  const tryPasskey = async (typed: Typed) => {
    setBusy(true);
    setRefusal(undefined);
    try {
      await withPasskey({ code: null, passkey: null }, (step) => logIn(typed.username.trim(), typed.password, step));
    } catch (error) {
      setRefusal(error instanceof ApiError && error.problem.detail ? error.problem : unexpected(error));
    } finally {
      setBusy(false);
    }
  };

  if (first)
    return (
      <FrontPage
        title={t("security.secondStep")}
        about={t("security.secondStepAbout", { name: first.username.trim() })}
      >
        <SecondStep
          asked={first.asked}
          busy={busy}
          refusal={refusal && <Refusal problem={refusal} />}
          onStep={(step) => finish(first, step)}
          onPasskey={() => tryPasskey(first)}
          onBack={() => {
            setFirst(undefined);
            setRefusal(undefined);
          }}
        />
      </FrontPage>
    );

  return (
    <FrontPage title={t(`login.${end}.title`)} about={t(`login.${end}.about`)}>
      <Form name="login" layout="vertical" onFinish={(typed: Typed) => finish(typed)} requiredMark={false}>
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
        {refusal && <Refusal problem={refusal} />}
        <Button type="primary" htmlType="submit" block size="large" loading={busy}>
          {t("login.logIn")}
        </Button>
      </Form>
      <Typography.Paragraph type="secondary" style={{ margin: "16px 0 0", textAlign: "center" }}>
        {registration?.open && (
          <>
            {t("login.noAccount")} <a href={REGISTER}>{t("login.register")}</a>
            <br />
          </>
        )}
        <a href={other}>{t(`login.${end}.other`)}</a>
      </Typography.Paragraph>
    </FrontPage>
  );
}

/** Why the login was refused; to an applicant, how his application stands. */
function Refusal({ problem }: { problem: Problem }) {
  const { t } = useTranslation();
  const waiting = problem.code === "application_waiting";
  return (
    <Alert
      type={waiting ? "info" : "error"}
      showIcon
      role="alert"
      title={problem.detail}
      description={
        <>
          {problem.cure}
          {problem.code === "application_rejected" && (
            <div>
              <a href={REGISTER}>{t("login.applyAgain")}</a>
            </div>
          )}
        </>
      }
      style={{ marginBottom: 16 }}
    />
  );
}
