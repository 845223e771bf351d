import { Charges } from "@shared/money/Charges";
import { Journal } from "@shared/money/Journal";
import { Notices } from "@shared/money/Notices";
import { Orders } from "@shared/money/Orders";
import { Recharges } from "@shared/money/Recharges";
import { Statements } from "@shared/money/Statements";
import { Webhooks } from "@shared/money/Webhooks";
import { useRole } from "@shared/session";
import { TabsPage } from "@shared/ui/TabsPage";
import { useTranslation } from "react-i18next";
import { Earnings } from "./Earnings";
import { Wallets } from "./Wallets";

/** Everybody's machine hours, what went in, what went out, what was earned. */
export function TimeManagement() {
  const { t } = useTranslation();
  const operator = useRole();
  return (
    <TabsPage
      title={t("menu.time")}
      tabs={[
        { key: "machine-hours", label: t("time.machineHours"), children: <Wallets /> },
        { key: "orders", label: t("orders.tab"), children: <Orders side="payee" /> },
        { key: "charges", label: t("time.charges"), children: <Charges side="payee" /> },
        { key: "recharges", label: t("time.recharges"), children: <Recharges everyone /> },
        { key: "earnings", label: t("time.earnings"), children: <Earnings /> },
        { key: "statements", label: t("statements.tab"), children: <Statements side="payee" /> },
        ...(operator ? [{ key: "journal", label: t("journal.tab"), children: <Journal /> }] : []),
        { key: "notices", label: t("notices.tab"), children: <Notices /> },
        { key: "webhooks", label: t("webhooks.tab"), children: <Webhooks /> },
      ]}
    />
  );
}
