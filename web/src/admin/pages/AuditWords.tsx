import { Typography } from "antd";
import { useTranslation } from "react-i18next";

export const KINDS = [
  ...(["algorithm", "application", "custom_resource", "dataset", "delivery", "group", "image", "invitation"] as const),
  ...(["model", "node", "notebook", "order", "pool", "replica", "site", "spec", "token", "user", "wallet"] as const),
  "webhook" as const,
];
type Kind = (typeof KINDS)[number];

/** What kind of thing was changed. */
export function ObjectKind({ kind }: { kind: string }) {
  const { t } = useTranslation();
  const known = KINDS.includes(kind as Kind);
  return <Typography.Text type="secondary">{known ? t(`audit.kinds.${kind as Kind}`) : kind}</Typography.Text>;
}

/** Who did it: a person, the platform itself, or somebody who was not logged in. */
export function ActorName({ id, name }: { id: string | null; name: string }) {
  const { t } = useTranslation();
  return !id && name === "system" ? t("audit.system") : name || "–";
}
