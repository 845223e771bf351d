import {
  GlobalOutlined,
  KeyOutlined,
  LockOutlined,
  LogoutOutlined,
  MoonOutlined,
  SafetyOutlined,
  SunOutlined,
  SwapOutlined,
  UserOutlined,
} from "@ant-design/icons";
import { App, Avatar, Button, Checkbox, Dropdown, Flex, Form, Input } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok } from "../api/client";
import { LANGUAGES, type Language, setLanguage } from "../i18n";
import { Security } from "../security/Security";
import { logOut, useSession } from "../session";
import { useDark } from "../theme";
import { FormDialog } from "./FormDialog";
import { useAct } from "./feedback";
import { Tokens } from "./Tokens";

/** Switches to the other language. */
export function LanguageButton() {
  const { t, i18n } = useTranslation();
  const other: Language = i18n.language === "zh" ? "en" : "zh";
  return (
    <Button
      type="text"
      icon={<GlobalOutlined aria-hidden />}
      aria-label={`${t("account.language")}: ${LANGUAGES[other]}`}
      onClick={() => setLanguage(other)}
    >
      {LANGUAGES[other]}
    </Button>
  );
}

export function AccountMenu({ other }: { other: string }) {
  const { t } = useTranslation();
  const { user } = useSession();
  const [dark, setDark] = useDark();
  const [dialog, setDialog] = useState<"password" | "security" | "tokens">();
  const act = useAct();
  const close = () => setDialog(undefined);

  return (
    <Flex align="center" gap={4}>
      <LanguageButton />
      <Button
        type="text"
        aria-label={t("account.dark")}
        aria-pressed={dark}
        icon={dark ? <SunOutlined aria-hidden /> : <MoonOutlined aria-hidden />}
        onClick={() => setDark(!dark)}
      />
      <Dropdown
        trigger={["click"]}
        menu={{
          items: [
            {
              key: "password",
              icon: <LockOutlined aria-hidden />,
              label: t("account.password"),
              onClick: () => setDialog("password"),
            },
            {
              key: "security",
              icon: <SafetyOutlined aria-hidden />,
              label: t("account.security"),
              onClick: () => setDialog("security"),
            },
            {
              key: "tokens",
              icon: <KeyOutlined aria-hidden />,
              label: t("account.tokens"),
              onClick: () => setDialog("tokens"),
            },
            { key: "other", icon: <SwapOutlined aria-hidden />, label: <a href={other}>{t("shell.otherEnd")}</a> },
            { type: "divider" },
            {
              key: "logout",
              icon: <LogoutOutlined aria-hidden />,
              label: t("account.logOut"),
              onClick: () => act(logOut),
            },
          ],
        }}
      >
        <Button type="text" aria-label={`${t("account.menu")}: ${user.username}`}>
          <Avatar size={24} icon={<UserOutlined aria-hidden />} />
          <span style={{ maxWidth: 120, overflow: "hidden", textOverflow: "ellipsis" }}>{user.username}</span>
        </Button>
      </Dropdown>
      <PasswordDialog open={dialog === "password"} onClose={close} />
      <Security open={dialog === "security"} onClose={close} />
      <Tokens open={dialog === "tokens"} onClose={close} />
    </Flex>
  );
}

interface PasswordValues {
  current_password: string;
  new_password: string;
  revoke_tokens: boolean;
}

function PasswordDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const required = [{ required: true, message: t("common.required") }];
  return (
    <FormDialog<PasswordValues, unknown>
      title={t("account.password")}
      name="change-password"
      open={open}
      onClose={onClose}
      initialValues={{ revoke_tokens: true }}
      submit={(body) => ok(api.POST("/api/v1/auth/password", { body }))}
      onDone={() => message.success(t("account.passwordChanged"))}
    >
      <Form.Item label={t("account.currentPassword")} name="current_password" rules={required}>
        <Input.Password autoComplete="current-password" />
      </Form.Item>
      <Form.Item
        label={t("account.newPassword")}
        name="new_password"
        rules={[...required, { min: 10, message: t("account.passwordRule") }]}
      >
        <Input.Password autoComplete="new-password" />
      </Form.Item>
      <Form.Item name="revoke_tokens" valuePropName="checked" extra={t("account.revokeTokensHint")}>
        <Checkbox>{t("account.revokeTokens")}</Checkbox>
      </Form.Item>
    </FormDialog>
  );
}
