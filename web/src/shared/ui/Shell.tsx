import { CloseOutlined, MenuOutlined } from "@ant-design/icons";
import { Button, Drawer, Flex, Grid, Layout, Menu, type MenuProps, Result, Spin, Typography, theme } from "antd";
import { cloneElement, isValidElement, type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { useLocation, useNavigate } from "react-router-dom";
import { useLive } from "../live";
import { type Role, useRole } from "../session";
import { AccountMenu } from "./AccountMenu";
import { Brand } from "./Brand";

export interface MenuEntry {
  path: string;
  label: string;
  /** Beside the label. */
  badge?: ReactNode;
  icon?: ReactNode;
  children?: MenuEntry[];
}

interface Props {
  end: string;
  /** Whom this end is for; others are shown the way to the other end. */
  forRole: Role;
  other: string;
  menu: MenuEntry[];
  /** A dark side bar. */
  dark?: boolean;
  children: ReactNode;
}

const toItem = ({ path, label, badge, icon, children }: MenuEntry): NonNullable<MenuProps["items"]>[number] => ({
  key: path,
  label: badge ? (
    <Flex align="center" justify="space-between" gap="small">
      {label}
      {badge}
    </Flex>
  ) : (
    label
  ),
  icon: isValidElement<{ "aria-hidden"?: boolean; "aria-label"?: string }>(icon)
    ? cloneElement(icon, { "aria-hidden": true, "aria-label": undefined })
    : icon,
  children: children?.map(toItem),
});

/** The frame around all pages of one end: menu, head, account. */
export function Shell({ end, forRole, other, menu, dark, children }: Props) {
  useLive();
  const { t } = useTranslation();
  const { token } = theme.useToken();
  const wide = Grid.useBreakpoint().lg ?? window.innerWidth >= 992;
  const [shown, setShown] = useState(false);
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const allowed = useRole(forRole);

  const entries = menu.flatMap((entry) => entry.children ?? [entry]);
  const here = entries.filter(({ path }) => pathname === path || pathname.startsWith(`${path}/`));
  const title = [here[0]?.label, end, "utcloud"].filter(Boolean).join(" · ");
  useEffect(() => {
    document.title = title;
  }, [title]);
  const nav = (
    <nav aria-label={t("shell.menu")}>
      <Menu
        mode="inline"
        inlineIndent={16}
        theme={dark ? "dark" : "light"}
        style={{ border: 0, background: "transparent" }}
        items={menu.map(toItem)}
        selectedKeys={here.map(({ path }) => path)}
        defaultOpenKeys={menu.filter((entry) => entry.children).map((entry) => entry.path)}
        onClick={({ key }) => {
          navigate(key);
          setShown(false);
        }}
      />
    </nav>
  );
  const quietColour = dark ? "#b5c4cd" : undefined;
  const sideColour = dark ? "#10202b" : token.colorBgContainer;

  return (
    <Layout style={{ minHeight: "100%" }}>
      <a className="skip" href="#content">
        {t("shell.skip")}
      </a>
      {wide ? (
        <Layout.Sider
          width={248}
          style={{
            background: sideColour,
            borderInlineEnd: dark ? undefined : `1px solid ${token.colorBorderSecondary}`,
            position: "sticky",
            top: 0,
            height: "100vh",
            overflow: "auto",
          }}
        >
          <div style={{ padding: "18px 24px" }}>
            <Brand light={dark} />
          </div>
          {nav}
        </Layout.Sider>
      ) : (
        <Drawer
          placement="left"
          size={260}
          open={shown}
          onClose={() => setShown(false)}
          closeIcon={<CloseOutlined aria-hidden style={{ color: quietColour }} />}
          title={
            <>
              <Brand light={dark} />
              <span className="reason" style={{ color: quietColour, fontWeight: "normal" }}>
                {end}
              </span>
            </>
          }
          styles={{ body: { padding: 8, background: sideColour }, header: { background: sideColour } }}
        >
          {nav}
        </Drawer>
      )}
      <Layout>
        <Layout.Header
          style={{
            background: token.colorBgContainer,
            borderBottom: `1px solid ${token.colorBorderSecondary}`,
            padding: "0 16px",
            position: "sticky",
            top: 0,
            zIndex: 10,
          }}
        >
          <Flex align="center" justify="space-between" gap="small" style={{ height: "100%" }}>
            <Flex align="center" gap="small" style={{ minWidth: 0 }}>
              {wide ? (
                <Typography.Text type="secondary" ellipsis>
                  {end}
                </Typography.Text>
              ) : (
                <Button
                  type="text"
                  aria-label={t("shell.menu")}
                  icon={<MenuOutlined aria-hidden />}
                  onClick={() => setShown(true)}
                />
              )}
            </Flex>
            <AccountMenu other={other} />
          </Flex>
        </Layout.Header>
        <Layout.Content
          id="content"
          role="main"
          tabIndex={-1}
          style={{
            outline: "none",
            padding: wide ? 24 : 16,
            maxWidth: 1600,
            width: "100%",
            margin: "0 auto",
            boxSizing: "border-box",
          }}
        >
          {allowed ? (
            children
          ) : (
            <Result
              status="403"
              title={t("shell.notForYou")}
              subTitle={t("shell.notForYouCure")}
              extra={
                <Button type="primary" href={other}>
                  {t("shell.otherEnd")}
                </Button>
              }
            />
          )}
        </Layout.Content>
      </Layout>
    </Layout>
  );
}

export function Waiting() {
  return (
    <Flex align="center" justify="center" style={{ height: "100vh" }}>
      <Spin size="large" />
    </Flex>
  );
}
