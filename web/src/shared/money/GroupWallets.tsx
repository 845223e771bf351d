import { useQuery } from "@tanstack/react-query";
import { App, Button, Card, Col, Empty, Flex, Form, Input, Row, Skeleton, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { api, MAX_ROWS, ok, type Schemas } from "../api/client";
import { formatUnc } from "../format";
import { useRole, useSession } from "../session";
import { ErrorCard } from "../ui/ErrorCard";
import { FormDialog } from "../ui/FormDialog";
import { Caps } from "./Caps";
import { Pays } from "./Pays";
import { WalletCards } from "./WalletCards";
import { Warning } from "./Warning";

/** The wallets of the groups that one is in, with the caps that bind one. */
export function GroupWallets() {
  const { t } = useTranslation();
  const operator = useRole();
  const { recharges } = useSession(); // whoever recharges out of nothing does so in the management end
  const [giving, setGiving] = useState<Schemas["WalletOut"]>();
  const { data, error, refetch } = useQuery({ queryKey: ["groups", "wallets"], queryFn: load });
  if (error && !data) return <ErrorCard error={error} retry={refetch} />;
  if (!data) return <Skeleton active />;
  if (data.length === 0) return <Empty description={t("wallet.groupsEmpty")} />;
  return (
    <Flex vertical gap="middle">
      <Typography.Text type="secondary">{t("wallet.groupsAbout")}</Typography.Text>
      {data.map(({ group, wallet }) => {
        const manager = group.my_role === "manager";
        const canChange = operator || manager;
        return (
          <Card
            key={group.id}
            title={group.name}
            extra={
              <Flex gap="middle" wrap align="center">
                <Link to={`/time-management?tab=sums&wallet=${wallet.id}`}>{t("time.costs")}</Link>
                {manager && (
                  <Link to={`/time-management?tab=statements&wallet=${wallet.id}`}>{t("statements.tab")}</Link>
                )}
                <Link to="/groups">{t("wallet.members")}</Link>
                {manager && !recharges && (
                  <Button size="small" type="primary" onClick={() => setGiving(wallet)}>
                    {t("wallet.give")}
                  </Button>
                )}
              </Flex>
            }
            className="wrapping"
          >
            <Flex vertical gap="middle">
              <WalletCards wallet={wallet} />
              <Row gutter={[16, 16]}>
                <Col xs={24} lg={14}>
                  <Caps wallet={wallet} canChange={canChange} />
                </Col>
                <Col xs={24} lg={10}>
                  <Warning wallet={wallet} canChange={canChange} />
                </Col>
                <Col xs={24}>
                  <Pays wallet={wallet} canChange={canChange} />
                </Col>
              </Row>
            </Flex>
          </Card>
        );
      })}
      {giving && <GiveDialog wallet={giving} onClose={() => setGiving(undefined)} />}
    </Flex>
  );
}

/** From one's own machine hours into those of a group that one manages. */
function GiveDialog({ wallet, onClose }: { wallet: Schemas["WalletOut"]; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const own = useQuery({ queryKey: ["wallets", "mine"], queryFn: () => ok(api.GET("/api/v1/wallets/mine")) });
  return (
    <FormDialog<{ amount: string; note: string }, unknown>
      title={t("wallet.giveTo", { group: wallet.owner_name })}
      name="give"
      open
      onClose={onClose}
      initialValues={{ note: "" }}
      submit={(body) =>
        ok(api.POST("/api/v1/recharges", { body: { ...body, kind: "recharge", wallet_id: wallet.id } }))
      }
      onDone={() => message.success(t("recharges.done"))}
      intro={
        <Typography.Paragraph type="secondary">
          {t("wallet.giveHint")} {own.data && <>{t("estimate.available", { amount: formatUnc(own.data.available) })}</>}
        </Typography.Paragraph>
      }
    >
      <Form.Item
        name="amount"
        label={t("recharges.amount")}
        rules={[
          { required: true, message: t("common.required") },
          { pattern: /^\d{1,10}(\.\d{1,6})?$/, message: t("common.uncRule") },
        ]}
      >
        <Input inputMode="decimal" suffix="UNC" placeholder="10" autoFocus style={{ maxWidth: 240 }} />
      </Form.Item>
      <Form.Item name="note" label={t("recharges.note")}>
        <Input.TextArea rows={2} maxLength={2000} />
      </Form.Item>
    </FormDialog>
  );
}

async function load() {
  const [groups, wallets] = await Promise.all([
    ok(api.GET("/api/v1/groups", { params: { query: { mine: true, limit: MAX_ROWS } } })),
    ok(api.GET("/api/v1/wallets", { params: { query: { owner: "group", mine: true, limit: MAX_ROWS } } })),
  ]);
  return groups.items.flatMap((group) => {
    const wallet = wallets.items.find(({ owner_id }) => owner_id === group.id);
    return wallet ? [{ group, wallet }] : [];
  });
}
