import { api, ok } from "@shared/api/client";
import { Caps } from "@shared/money/Caps";
import { Charges } from "@shared/money/Charges";
import { GroupWallets } from "@shared/money/GroupWallets";
import { Notices } from "@shared/money/Notices";
import { Orders } from "@shared/money/Orders";
import { Recharges } from "@shared/money/Recharges";
import { Running } from "@shared/money/Running";
import { Statements } from "@shared/money/Statements";
import { Sums } from "@shared/money/Sums";
import { WalletCards } from "@shared/money/WalletCards";
import { Warning } from "@shared/money/Warning";
import { Webhooks } from "@shared/money/Webhooks";
import { ErrorCard } from "@shared/ui/ErrorCard";
import { TabsPage } from "@shared/ui/TabsPage";
import { useQuery } from "@tanstack/react-query";
import { Alert, Col, Flex, Row, Skeleton } from "antd";
import { useTranslation } from "react-i18next";

/** One's own machine hours. */
export function TimeManagement() {
  const { t } = useTranslation();
  return (
    <TabsPage
      title={t("menu.time")}
      tabs={[
        { key: "machine-hours", label: t("time.machineHours"), children: <Wallet /> },
        { key: "groups", label: t("wallet.groups"), children: <GroupWallets /> },
        { key: "orders", label: t("orders.tab"), children: <Orders side="payer" /> },
        { key: "sums", label: t("time.costs"), children: <Sums side="payer" /> },
        { key: "charges", label: t("time.charges"), children: <Charges side="payer" /> },
        { key: "recharges", label: t("time.recharges"), children: <Recharges /> },
        { key: "statements", label: t("statements.tab"), children: <Statements side="payer" /> },
        { key: "notices", label: t("notices.tab"), children: <Notices /> },
        { key: "webhooks", label: t("webhooks.tab"), children: <Webhooks /> },
      ]}
    />
  );
}

function Wallet() {
  const { t } = useTranslation();
  const wallet = useQuery({ queryKey: ["wallets", "mine"], queryFn: () => ok(api.GET("/api/v1/wallets/mine")) });
  if (wallet.isError && !wallet.data) return <ErrorCard error={wallet.error} retry={() => wallet.refetch()} />;
  if (!wallet.data) return <Skeleton active />;
  return (
    <Flex vertical gap="middle">
      <WalletCards wallet={wallet.data} />
      <Running />
      <Row gutter={[16, 16]}>
        <Col xs={24} lg={14}>
          <Caps wallet={wallet.data} canChange />
        </Col>
        <Col xs={24} lg={10}>
          <Warning wallet={wallet.data} canChange />
        </Col>
      </Row>
      <Alert type="info" showIcon title={t("time.howBilled")} description={t("time.howBilledText")} />
    </Flex>
  );
}
