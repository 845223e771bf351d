import type { Schemas } from "@shared/api/client";
import { formatExact } from "@shared/format";
import { said } from "@shared/i18n/said";
import { When } from "@shared/ui/bits";
import { Badge, Tag, Tooltip, Typography } from "antd";
import { useTranslation } from "react-i18next";

export type Node = Schemas["NodeOut"];
export type Status = Schemas["NodeStatus"];
const BADGE = { ready: "success", not_ready: "warning", lost: "error", gone: "default", removed: "default" } as const;
export const STATUSES = Object.keys(BADGE) as Status[];

export function NodeStatus({ node }: { node: Node }) {
  const { t } = useTranslation();
  return (
    <div>
      <Badge status={BADGE[node.status]} text={t(`nodeStatus.${node.status}`)} />
      <Typography.Text type="secondary" className="reason">
        {node.since && (
          <>
            {t("nodes.since")} <When at={node.since} />
          </>
        )}
        {node.reason && ` · ${said(node.reason)}`}
      </Typography.Text>
    </div>
  );
}

/** What is special about a node, each with its reason on hover; nothing for a plain one. */
export function NodeTags({ node }: { node: Node }) {
  const { t } = useTranslation();
  const tags: { key: string; colour: string; text: string; hint: string }[] = [];
  if (node.moving_to)
    tags.push({
      key: "moving",
      colour: "blue",
      text: t("nodes.movingTo", { pool: node.moving_to.name }),
      hint: t("nodes.movingHint"),
    });
  if (node.drain_at)
    tags.push({
      key: "drain",
      colour: "orange",
      text: t("nodes.draining"),
      hint: t("nodes.drainingHint", { at: formatExact(node.drain_at), reason: node.drain_reason }),
    });
  else if (node.cordoned && !node.moving_to)
    tags.push({
      key: "cordoned",
      colour: "gold",
      text: t("nodes.cordoned"),
      hint: node.cordon_reason || t("nodes.cordonedHint"),
    });
  if (node.flags.length)
    tags.push({
      key: "flags",
      colour: "red",
      text: t("nodes.flagged"),
      hint: node.flags.map((flag) => said(flag)).join("; "),
    });
  return tags.map(({ key, colour, text, hint }) => (
    <Tooltip key={key} title={hint}>
      <Tag color={colour} style={{ marginInlineEnd: 0 }} tabIndex={0}>
        {text}
      </Tag>
    </Tooltip>
  ));
}

/** The miner's own labels first, then what the agent reports; `most` of them, the rest on hover. */
export function Labels({ node, most = Number.POSITIVE_INFINITY }: { node: Node; most?: number }) {
  const text = ([key, value]: [string, string]) => (value ? `${key}=${value}` : key);
  const own = Object.entries(node.own_labels).map(text);
  const all = [...own, ...Object.entries(node.labels).map(text)];
  const hidden = all.slice(most);
  if (all.length === 0) return <>–</>;
  return (
    <span className="tags" style={{ maxWidth: most === Number.POSITIVE_INFINITY ? undefined : 260 }}>
      {all.slice(0, most).map((label, index) => (
        <Tag key={label} className="label" color={index < own.length ? "cyan" : undefined}>
          {label}
        </Tag>
      ))}
      {hidden.length > 0 && (
        <Tooltip
          title={hidden.map((label) => (
            <div key={label}>{label}</div>
          ))}
        >
          <Tag tabIndex={0} style={{ marginInlineEnd: 0 }}>
            +{hidden.length}
          </Tag>
        </Tooltip>
      )}
    </span>
  );
}
