import { TabsPage } from "@shared/ui/TabsPage";
import { useTranslation } from "react-i18next";
import { CustomResources } from "./ResourcesCustom";
import { SystemResources } from "./ResourcesSystem";

/** What there really is, and the miner's own names for it. */
export function Resources() {
  const { t } = useTranslation();
  return (
    <TabsPage
      title={t("menu.resources")}
      tabs={[
        { key: "system", label: t("resources.system"), children: <SystemResources /> },
        { key: "custom", label: t("resources.custom"), children: <CustomResources /> },
      ]}
    />
  );
}
