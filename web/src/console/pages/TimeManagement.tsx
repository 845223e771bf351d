import { api, ok } from "@shared/api/client";
import { Notices } from "@shared/money/Notices";
import { Statements } from "@shared/money/Statements";
import { Sums } from "@shared/money/Sums";
import { Webhooks } from "@shared/money/Webhooks";
import { ErrorCard } from "@shared/ui/ErrorCard";
import { Charges, Recharges } from "@shared/ui/Records";
import { TabsPage } from "@shared/ui/TabsPage";
import { useQuery } from "@tanstack/react-query";
import { Alert, Flex, Skeleton } from "antd";
import { useTranslation } from "react-i18next";
import { WalletCards } from "./Wallet";

/** One's own machine hours. */
export function TimeManagement() {
  const { t } = useTranslation();
  return (
    <TabsPage
      title={t("menu.time")}
      tabs={[
        { key: "machine-hours", label: t("time.machineHours"), children: <Wallet /> },
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
      <Alert type="info" showIcon title={t("time.howBilled")} description={t("time.howBilledText")} />
    </Flex>
  );
}
