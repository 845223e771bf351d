import { useQuery } from "@tanstack/react-query";
import { Card, Col, Empty, Flex, Row, Skeleton, Typography } from "antd";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { api, MAX_ROWS, ok } from "../api/client";
import { useRole } from "../session";
import { ErrorCard } from "../ui/ErrorCard";
import { Caps } from "./Caps";
import { WalletCards } from "./WalletCards";
import { Warning } from "./Warning";

/** The wallets of the groups that one is in, with the caps that bind one. */
export function GroupWallets() {
  const { t } = useTranslation();
  const operator = useRole();
  const { data, error, refetch } = useQuery({ queryKey: ["groups", "wallets"], queryFn: load });
  if (error && !data) return <ErrorCard error={error} retry={refetch} />;
  if (!data) return <Skeleton active />;
  if (data.length === 0) return <Empty description={t("wallet.groupsEmpty")} />;
  return (
    <Flex vertical gap="middle">
      <Typography.Text type="secondary">{t("wallet.groupsAbout")}</Typography.Text>
      {data.map(({ group, wallet }) => {
        const canChange = operator || group.my_role === "manager";
        return (
          <Card
            key={group.id}
            title={group.name}
            extra={<Link to="/groups">{t("wallet.members")}</Link>}
            styles={{ title: { whiteSpace: "normal" } }}
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
              </Row>
            </Flex>
          </Card>
        );
      })}
    </Flex>
  );
}

async function load() {
  const [groups, wallets] = await Promise.all([
    ok(api.GET("/api/v1/groups", { params: { query: { mine: true, limit: MAX_ROWS } } })),
    ok(api.GET("/api/v1/wallets", { params: { query: { owner: "group", limit: MAX_ROWS } } })),
  ]);
  return groups.items.flatMap((group) => {
    const wallet = wallets.items.find(({ owner_id }) => owner_id === group.id);
    return wallet ? [{ group, wallet }] : [];
  });
}
