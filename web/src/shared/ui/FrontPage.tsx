import { Card, Flex, Typography, theme } from "antd";
import type { ReactNode } from "react";
import { LanguageButton } from "./AccountMenu";
import { Brand } from "./Brand";

/** A page for who is not logged in: one card in the middle. */
export function FrontPage({ title, about, children }: { title: string; about?: ReactNode; children: ReactNode }) {
  const { token } = theme.useToken();
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
      <Card style={{ width: "100%", maxWidth: 420 }} styles={{ body: { padding: 32 } }}>
        <Flex justify="space-between" align="center" style={{ marginBottom: 24 }}>
          <Brand />
          <LanguageButton />
        </Flex>
        <Typography.Title level={3} style={{ marginTop: 0 }}>
          {title}
        </Typography.Title>
        {about && <Typography.Paragraph type="secondary">{about}</Typography.Paragraph>}
        {children}
      </Card>
    </Flex>
  );
}
