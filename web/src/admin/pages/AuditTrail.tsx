import { api, ok, type Schemas } from "@shared/api/client";
import { Copyable, Moment } from "@shared/ui/bits";
import { by, type Column, ListPage } from "@shared/ui/ListPage";
import { Input, Tag } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";

type Event = Schemas["AuditEventOut"];

/** Who changed what, when, from where. */
export function AuditTrail() {
  const { t } = useTranslation();
  const [action, setAction] = useState("");
  const columns: Column<Event>[] = [
    { title: t("audit.at"), dataIndex: "at", sorter: by((row) => row.at), render: (at) => <Moment at={at} /> },
    { title: t("audit.actor"), dataIndex: "actor_name", sorter: by((row) => row.actor_name) },
    {
      title: t("audit.action"),
      dataIndex: "action",
      sorter: by((row) => row.action),
      render: (value) => <Tag>{value}</Tag>,
    },
    { title: t("audit.object"), key: "object", render: (_, event) => `${event.object_type} ${event.object_name}` },
    { title: t("audit.ip"), dataIndex: "ip", render: (ip) => <span className="number">{ip || "–"}</span> },
  ];
  return (
    <ListPage
      title={t("menu.audit")}
      about={t("audit.about")}
      queryKey={["audit-events", action]}
      load={(query) =>
        ok(api.GET("/api/v1/audit-events", { params: { query: { ...query, action: action || undefined } } }))
      }
      columns={columns}
      rowKey={(event) => event.id}
      searchable={false}
      filtered={Boolean(action)}
      filters={
        <Input
          allowClear
          aria-label={t("audit.action")}
          placeholder={t("audit.actionHint")}
          onBlur={(event) => setAction(event.target.value.trim())}
          onPressEnter={(event) => setAction(event.currentTarget.value.trim())}
          onClear={() => setAction("")}
          style={{ maxWidth: 220 }}
        />
      }
      empty={t("audit.empty")}
      expanded={(event) => (
        <>
          <pre className="log">{JSON.stringify(event.detail, null, 2)}</pre>
          <Copyable text={event.object_id} label={t("common.id")} />
        </>
      )}
    />
  );
}
