import { KeyOutlined, MobileOutlined, SafetyOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Flex, Form, Input, QRCode, Skeleton, Tag, Typography } from "antd";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { Copyable, When } from "../ui/bits";
import { ErrorCard } from "../ui/ErrorCard";
import { FormDialog } from "../ui/FormDialog";
import { useShowOnce } from "../ui/ShowOnce";
import { createPasskey, passkeysWork } from "./passkeys";
import { ProofDialog } from "./ProofDialog";

type Passkey = Schemas["PasskeyOut"];
type Dialog = "app" | "app-off" | "passkey" | "codes" | Passkey;
const BASE = "/api/v1/auth/second-factor";

/** One's authenticator app, passkeys and recovery codes. */
export function SecurityPanel() {
  const { t } = useTranslation();
  const [dialog, setDialog] = useState<Dialog>();
  const [setup, setSetup] = useState<Schemas["TotpSetup"]>();
  const tellCodes = useTellCodes();
  const { data, error, refetch } = useQuery({ queryKey: ["second-factor"], queryFn: () => ok(api.GET(BASE)) });
  if (error && !data) return <ErrorCard error={error} retry={refetch} />;
  if (!data) return <Skeleton active />;

  const close = () => setDialog(undefined);
  const passkeys = data.passkeys;
  const here = passkeysWork(data.passkeys_possible_at);
  const any = Boolean(data.totp_since || passkeys.length);
  const removing = typeof dialog === "object" ? dialog : undefined;

  return (
    <Flex vertical gap="large">
      <Typography.Text type="secondary">{t("security.about")}</Typography.Text>
      <Part
        icon={<MobileOutlined aria-hidden />}
        title={t("security.app")}
        on={Boolean(data.totp_since)}
        about={t("security.appAbout")}
        actions={
          data.totp_since ? (
            <Button danger onClick={() => setDialog("app-off")}>
              {t("security.remove")}
            </Button>
          ) : (
            <Button type={any ? "default" : "primary"} onClick={() => setDialog("app")}>
              {t("security.setUp")}
            </Button>
          )
        }
      />
      <Part
        icon={<KeyOutlined aria-hidden />}
        title={t("security.passkeys")}
        on={passkeys.length > 0}
        about={here ? t("security.passkeysAbout") : t("security.elsewhere", { host: data.passkeys_possible_at })}
        actions={
          <Button disabled={!here} onClick={() => setDialog("passkey")}>
            {t("security.addPasskey")}
          </Button>
        }
      >
        {passkeys.map((one) => (
          <Flex key={one.id} justify="space-between" align="center" gap="small">
            <span>
              <Typography.Text strong>{one.name}</Typography.Text>{" "}
              <Typography.Text type="secondary">
                {t("security.used")} {one.last_used_at ? <When at={one.last_used_at} /> : t("users.never")}
              </Typography.Text>
            </span>
            <Button
              size="small"
              danger
              aria-label={`${t("security.remove")}: ${one.name}`}
              onClick={() => setDialog(one)}
            >
              {t("security.remove")}
            </Button>
          </Flex>
        ))}
      </Part>
      {any && (
        <Part
          icon={<SafetyOutlined aria-hidden />}
          title={t("security.codes")}
          about={t("security.codesLeft", { count: data.recovery_codes_left })}
          actions={<Button onClick={() => setDialog("codes")}>{t("security.newCodes")}</Button>}
        >
          {data.recovery_codes_left < 3 && <Alert type="warning" showIcon title={t("security.fewCodes")} />}
        </Part>
      )}

      <ProofDialog
        title={t("security.setUpApp")}
        name="totp-proof"
        open={dialog === "app"}
        onClose={close}
        okText={t("security.next")}
        submit={(body) => ok(api.POST(`${BASE}/totp`, { body }))}
        onDone={setSetup}
      />
      <AppDialog setup={setup} onClose={() => setSetup(undefined)} onDone={tellCodes} />
      <ProofDialog
        title={t("security.removeApp")}
        name="totp-remove"
        open={dialog === "app-off"}
        onClose={close}
        okText={t("security.remove")}
        danger
        submit={(body) => ok(api.POST(`${BASE}/totp/remove`, { body }))}
        onDone={() => {}}
      />
      <PasskeyDialog open={dialog === "passkey"} onClose={close} onDone={tellCodes} />
      <ProofDialog
        title={t("security.removePasskey", { name: removing?.name })}
        name="passkey-remove"
        open={Boolean(removing)}
        onClose={close}
        okText={t("security.remove")}
        danger
        submit={(body) =>
          ok(
            api.POST(`${BASE}/passkeys/{passkey_id}/remove`, {
              params: { path: { passkey_id: removing?.id ?? "" } },
              body,
            }),
          )
        }
        onDone={() => {}}
      />
      <ProofDialog
        title={t("security.newCodes")}
        name="recovery-codes"
        open={dialog === "codes"}
        onClose={close}
        intro={<Typography.Paragraph>{t("security.newCodesHint")}</Typography.Paragraph>}
        submit={(body) => ok(api.POST(`${BASE}/recovery-codes`, { body }))}
        onDone={tellCodes}
      />
    </Flex>
  );
}

interface PartProps {
  icon: ReactNode;
  title: string;
  about: string;
  on?: boolean;
  actions: ReactNode;
  children?: ReactNode;
}

function Part({ icon, title, about, on, actions, children }: PartProps) {
  const { t } = useTranslation();
  return (
    <Flex vertical gap="small" component="section">
      <Flex justify="space-between" align="center" gap="small" wrap>
        <Typography.Title level={5} style={{ margin: 0 }}>
          {icon} {title}{" "}
          {on !== undefined && <Tag color={on ? "green" : "default"}>{on ? t("security.on") : t("security.off")}</Tag>}
        </Typography.Title>
        {actions}
      </Flex>
      <Typography.Text type="secondary">{about}</Typography.Text>
      {children}
    </Flex>
  );
}

/** Shows the recovery codes that came with the first factor, once. */
function useTellCodes() {
  const { t } = useTranslation();
  const showOnce = useShowOnce();
  return ({ recovery_codes }: { recovery_codes?: string[] | null }) => {
    if (!recovery_codes) return;
    showOnce({
      title: t("security.codesOnce"),
      hint: t("security.codesOnceHint"),
      label: t("security.codes"),
      text: recovery_codes.join("\n"),
    });
  };
}

interface AppProps {
  setup: Schemas["TotpSetup"] | undefined;
  onClose: () => void;
  onDone: (added: Schemas["SecondFactorAdded"]) => void;
}

/** The QR code for an authenticator app, and the field for its first code. */
function AppDialog({ setup, onClose, onDone }: AppProps) {
  const { t } = useTranslation();
  return (
    <FormDialog<Schemas["TotpConfirm"], Schemas["SecondFactorAdded"]>
      title={t("security.setUpApp")}
      name="totp-confirm"
      open={Boolean(setup)}
      onClose={onClose}
      submit={({ code }) => ok(api.POST(`${BASE}/totp/confirm`, { body: { code: code.trim() } }))}
      onDone={onDone}
      okText={t("security.turnOn")}
      intro={
        setup && (
          <Flex vertical align="center" gap="small" style={{ marginBottom: 16 }}>
            <Typography.Text>{t("security.scan")}</Typography.Text>
            <div role="img" aria-label={t("security.qr")}>
              <QRCode type="svg" value={setup.uri} size={192} color="#000" bgColor="#fff" />
            </div>
            <Typography.Text type="secondary">{t("security.orType")}</Typography.Text>
            <Copyable text={setup.secret} label={t("security.secret")} />
          </Flex>
        )
      }
    >
      <Form.Item label={t("security.appCode")} name="code" rules={[{ required: true, message: t("common.required") }]}>
        <Input autoComplete="one-time-code" inputMode="numeric" maxLength={7} />
      </Form.Item>
    </FormDialog>
  );
}

interface PasskeyProps {
  open: boolean;
  onClose: () => void;
  onDone: (added: Schemas["SecondFactorAdded"]) => void;
}

function PasskeyDialog({ open, onClose, onDone }: PasskeyProps) {
  const { t } = useTranslation();
  const create = async (proof: Schemas["Proof"], { name }: { name: string }) => {
    const { options } = await ok(api.POST(`${BASE}/passkeys/options`, { body: proof }));
    const credential = await createPasskey(options);
    return ok(api.POST(`${BASE}/passkeys`, { body: { name, credential } }));
  };
  return (
    <ProofDialog<{ name: string }, Schemas["SecondFactorAdded"]>
      title={t("security.addPasskey")}
      name="passkey-add"
      open={open}
      onClose={onClose}
      okText={t("security.next")}
      initialValues={{ name: t("security.thisDevice") }}
      submit={create}
      onDone={onDone}
    >
      <Form.Item label={t("common.name")} name="name" rules={[{ required: true, message: t("common.required") }]}>
        <Input maxLength={64} />
      </Form.Item>
    </ProofDialog>
  );
}
