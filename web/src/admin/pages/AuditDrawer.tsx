import type { Schemas } from "@shared/api/client";
import { said } from "@shared/i18n/said";
import { Copyable, Moment } from "@shared/ui/bits";
import { Collapse, Descriptions, Drawer, Flex, Table, Tag, Typography } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { ActorName, ObjectKind } from "./AuditWords";

type Event = Schemas["AuditEventOut"];
type Detail = Record<string, unknown>;

/** One change: who, what, from where, and what was before. */
export function AuditDrawer({ event, onClose }: { event: Event | undefined; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Drawer title={t("audit.detail")} open={Boolean(event)} onClose={onClose} size={640} destroyOnHidden>
      {event && <Detail event={event} onFollow={onClose} />}
    </Drawer>
  );
}

function Detail({ event, onFollow }: { event: Event; onFollow: () => void }) {
  const { t } = useTranslation();
  const facts: [string, ReactNode][] = [
    [t("audit.at"), <Moment key="at" at={event.at} />],
    [
      t("audit.actor"),
      <span key="actor" className="tags">
        <ActorName id={event.actor_id} name={event.actor_name} />
        {event.actor_id && <Copyable text={event.actor_id} />}
      </span>,
    ],
    [t("audit.action"), <Tag key="action">{event.action}</Tag>],
    [
      t("audit.object"),
      <span key="object" className="tags">
        <ObjectKind kind={event.object_type} /> <Typography.Text strong>{event.object_name}</Typography.Text>
        {event.object_id && <Copyable text={event.object_id} />}
      </span>,
    ],
    [t("audit.ip"), event.ip || "–"],
  ];
  return (
    <Flex vertical gap="middle">
      <Descriptions
        size="small"
        bordered
        column={1}
        items={facts.map(([label, children]) => ({ key: label, label, children }))}
      />
      <Changes detail={event.detail as Detail} />
      <Flex vertical gap={4}>
        {event.object_id && (
          <Link to={`/audit-trail?object_id=${event.object_id}`} onClick={onFollow}>
            {t("audit.sameObject")}
          </Link>
        )}
        {event.actor_name && (
          <Link to={`/audit-trail?actor=${encodeURIComponent(event.actor_name)}`} onClick={onFollow}>
            {t("audit.sameActor", { name: event.actor_name })}
          </Link>
        )}
      </Flex>
      <Collapse
        size="small"
        items={[
          {
            key: "raw",
            label: t("audit.raw"),
            children: (
              <pre className="log" tabIndex={0}>
                {JSON.stringify(event, null, 2)}
              </pre>
            ),
          },
        ]}
      />
    </Flex>
  );
}

interface Change {
  field: string;
  before?: unknown;
  after?: unknown;
}

const isObject = (value: unknown): value is Detail =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What was before and what is now where both are known, else what was asked for. */
function Changes({ detail }: { detail: Detail }) {
  const { t } = useTranslation();
  const both = isObject(detail.before) && isObject(detail.after);
  const rows = changes(detail);
  if (rows.length === 0) return <Typography.Text type="secondary">{t("audit.noDetail")}</Typography.Text>;
  const say = (value: unknown) => <Value value={value} />;
  return (
    <Table<Change>
      size="small"
      pagination={false}
      rowKey={({ field }) => field}
      dataSource={rows}
      columns={[
        { title: t("audit.field"), dataIndex: "field", render: (field) => <code>{field}</code> },
        ...(both ? [{ title: t("audit.before"), dataIndex: "before", render: say }] : []),
        { title: t(both ? "audit.after" : "audit.value"), dataIndex: "after", render: say },
      ]}
    />
  );
}

function changes(detail: Detail): Change[] {
  const { before, after, ...rest } = detail;
  const known = isObject(before) && isObject(after);
  const fields = known ? [...new Set([...Object.keys(before), ...Object.keys(after)])] : [];
  const others = Object.entries(known ? rest : detail).map(([field, value]) => ({ field, after: value }));
  return [
    ...fields.map((field) => ({ field, before: (before as Detail)[field], after: (after as Detail)[field] })),
    ...others,
  ];
}

function Value({ value }: { value: unknown }): ReactNode {
  const { t } = useTranslation();
  if (value === undefined || value === null || value === "") return "–";
  if (typeof value === "boolean") return t(value ? "audit.yes" : "audit.no");
  if (Array.isArray(value) && value.every((one) => typeof one !== "object")) return value.join(", ") || "–";
  if (typeof value === "object") return <code style={{ overflowWrap: "anywhere" }}>{JSON.stringify(value)}</code>;
  return (
    <span style={{ overflowWrap: "anywhere" }}>
      {typeof value === "string" && value.includes(" ") ? said(value) : String(value)}
    </span>
  );
}
