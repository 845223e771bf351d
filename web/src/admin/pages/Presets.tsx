import { AssetList } from "@shared/assets/AssetList";
import { Images } from "@shared/assets/Images";
import { TabsPage } from "@shared/ui/TabsPage";
import { useTranslation } from "react-i18next";

/** What every renter finds already there: images, algorithms, datasets and models. */
export function Presets() {
  const { t } = useTranslation();
  const kinds = ["algorithms", "datasets", "models"] as const;
  return (
    <TabsPage
      title={t("menu.presets")}
      tabs={[
        { key: "images", label: t("menu.images"), children: <Images manage /> },
        ...kinds.map((kind) => ({ key: kind, label: t(`menu.${kind}`), children: <AssetList kind={kind} preset /> })),
      ]}
    />
  );
}
