import { useAddress } from "@shared/address";
import { api, ok, type Schemas } from "@shared/api/client";
import { Moment } from "@shared/ui/bits";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { MoreFilters } from "@shared/ui/MoreFilters";
import { TextFilter } from "@shared/ui/TextFilter";
import { Button, DatePicker, Tag } from "antd";
import dayjs from "dayjs";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { AuditDrawer } from "./AuditDrawer";
import { ActorName, KINDS, ObjectKind } from "./AuditWords";

type Event = Schemas["AuditEventOut"];
const WORD = /^[a-z_.-]+$/;
const ADDRESS = /^[0-9A-Fa-f.:]+$/;

/** Who changed what, when, from where. */
export function AuditTrail() {
  const { t } = useTranslation();
  const [actor, setActor] = useAddress("actor");
  const [action, setAction] = useAddress("action");
  const [objectType, setObjectType] = useAddress("object_type");
  const [objectId, setObjectId] = useAddress("object_id");
  const [ip, setIp] = useAddress("ip");
  const [since, setSince] = useAddress("since");
  const [until, setUntil] = useAddress("until");
  const [shown, setShown] = useState<Event>();
  const filter = {
    actor,
    action: matching(WORD, action),
    object_type: matching(WORD, objectType),
    object_id: objectId,
    ip: matching(ADDRESS, ip),
    since,
    until,
  };

  const columns: Column<Event>[] = [
    {
      title: t("audit.at"),
      dataIndex: "at",
      sort: "at",
      render: (at, event) => (
        <Button type="link" style={{ padding: 0, height: "auto" }} onClick={() => setShown(event)}>
          <Moment at={at} />
        </Button>
      ),
    },
    {
      title: t("audit.actor"),
      dataIndex: "actor_name",
      render: (name, { actor_id }) => <ActorName id={actor_id} name={name} />,
    },
    { title: t("audit.action"), dataIndex: "action", render: (value) => <Tag>{value}</Tag> },
    {
      title: t("audit.object"),
      key: "object",
      render: (_, event) => (
        <span className="long">
          <ObjectKind kind={event.object_type} /> {event.object_name}
        </span>
      ),
    },
    { title: t("audit.ip"), dataIndex: "ip", render: (address) => <span className="number">{address || "–"}</span> },
  ];
  return (
    <>
      <ListPage
        title={t("menu.audit")}
        about={t("audit.about")}
        queryKey={["audit-events", filter]}
        load={(query) => ok(api.GET("/api/v1/audit-events", { params: { query: { ...query, ...filter } } }))}
        columns={columns}
        rowKey={(event) => event.id}
        filtered={Object.values(filter).some(Boolean)}
        filters={
          <MoreFilters set={Object.values(filter).filter(Boolean).length}>
            <TextFilter label={t("audit.actor")} value={actor} onChange={setActor} width={140} />
            <TextFilter label={t("audit.actionHint")} value={action} onChange={setAction} width={230} />
            <TextFilter
              label={t("audit.objectType")}
              value={objectType}
              onChange={setObjectType}
              options={KINDS}
              width={160}
            />
            <TextFilter label={t("audit.objectId")} value={objectId} onChange={setObjectId} width={150} />
            <TextFilter label={t("audit.ip")} value={ip} onChange={setIp} width={150} />
            <DatePicker.RangePicker
              showTime={{ format: "HH:mm" }}
              format="YYYY-MM-DD HH:mm"
              allowEmpty={[true, true]}
              aria-label={t("audit.period")}
              placeholder={[t("audit.from"), t("audit.until")]}
              value={[since ? dayjs(since) : null, until ? dayjs(until) : null]}
              onChange={(range) => {
                setSince(range?.[0]?.toISOString());
                setUntil(range?.[1]?.toISOString());
              }}
              style={{ maxWidth: "100%" }}
            />
          </MoreFilters>
        }
        file={{ path: "/api/v1/audit-events", query: filter }}
        empty={t("audit.empty")}
      />
      <AuditDrawer event={shown} onClose={() => setShown(undefined)} />
    </>
  );
}

/** What the server would refuse because nothing can be called so is not sent while it is being typed. */
const matching = (form: RegExp, text: string | undefined) => (text && form.test(text) ? text : undefined);
