import { useAddress } from "@shared/address";
import { api, ok, type Schemas } from "@shared/api/client";
import { ApiError } from "@shared/api/problem";
import { said } from "@shared/i18n/said";
import { Copyable, type State, STATES, StateTag, Unc, When } from "@shared/ui/bits";
import { Filter } from "@shared/ui/Filter";
import { FormDialog } from "@shared/ui/FormDialog";
import { useFail } from "@shared/ui/feedback";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import { MoreFilters } from "@shared/ui/MoreFilters";
import { App, Button, Descriptions, Form, Input, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";

type Replica = Schemas["WorkOut"];
type Kind = Replica["kind"];
const OVER = new Set<State>(["stopping", "stopped", "failed", "succeeded"]);
const SHOWN = STATES.filter((state) => !OVER.has(state) || state === "stopping");

/** Replicas on my hardware: whose, on which chips, at which price; never what is in them. */
export function Work() {
  const { t } = useTranslation();
  const [state, setState] = useAddress<State>("state");
  const [kind, setKind] = useAddress<Kind>("kind");
  const [pool, setPool] = useAddress("pool");
  const [node, setNode] = useAddress("node");
  const [spec, setSpec] = useAddress("spec");
  const [stopping, setStopping] = useState<Replica[]>([]);
  const filter = { state: state && [state], kind, pool_id: pool, node_id: node, spec_id: spec };

  const columns: Column<Replica>[] = [
    {
      title: t("work.owner"),
      dataIndex: "owner_name",
      sort: "owner_name",
      render: (name, replica) => (
        <>
          <Typography.Text strong>{name}</Typography.Text>
          <Typography.Text type="secondary" className="reason">
            {[t(`work.${replica.kind === "notebook" ? "notebook" : "task"}`), replica.group_name]
              .filter(Boolean)
              .join(" · ")}
          </Typography.Text>
        </>
      ),
    },
    {
      title: t("common.status"),
      dataIndex: "state",
      sort: "state",
      render: (value: State, { reason }) => (
        <>
          <StateTag state={value} />
          {reason && (
            <Typography.Text type="secondary" className="reason" style={{ maxWidth: 260 }}>
              {said(reason)}
            </Typography.Text>
          )}
        </>
      ),
    },
    {
      title: `${t("common.spec")} · ${t("common.price")}`,
      dataIndex: "spec",
      sort: "price",
      render: (name, { price }) => (
        <>
          <span className="long">{name}</span>
          <Typography.Text type="secondary" className="reason">
            <Unc value={price} perHour />
          </Typography.Text>
        </>
      ),
    },
    {
      title: t("work.node"),
      dataIndex: "node",
      sort: "node",
      render: (name, { pool_name, chips }) => (
        <>
          {name || "–"}
          <Typography.Text type="secondary" className="reason">
            {pool_name}
          </Typography.Text>
          {chips.length > 0 && (
            <span className="tags">
              {chips.map((chip) => (
                <Tag key={chip} style={{ marginInlineEnd: 0 }}>
                  {chip}
                </Tag>
              ))}
            </span>
          )}
        </>
      ),
    },
    { title: t("work.cost"), dataIndex: "cost", align: "right", render: (value) => <Unc value={value} /> },
    { title: t("common.since"), dataIndex: "since", sort: "since", render: (at) => <When at={at} /> },
    {
      key: "actions",
      render: (_, replica) =>
        !OVER.has(replica.state) && (
          <Button size="small" danger onClick={() => setStopping([replica])}>
            {t("common.stop")}
          </Button>
        ),
    },
  ];
  return (
    <>
      <ListPage
        title={t("menu.work")}
        about={t("work.about")}
        queryKey={["replicas", filter]}
        load={(query) => ok(api.GET("/api/v1/replicas", { params: { query: { ...query, ...filter } } }))}
        columns={columns}
        rowKey={(replica) => replica.replica_id}
        empty={t("work.empty")}
        filtered={Boolean(state || kind || pool || node || spec)}
        filters={
          <>
            <Filter
              label={t("common.status")}
              value={state}
              onChange={setState}
              options={SHOWN.map((value) => ({ value, label: t(`state.${value}`) }))}
            />
            <MoreFilters set={[kind, pool, node, spec].filter(Boolean).length}>
              <Filter
                label={t("work.kind")}
                value={kind}
                onChange={setKind}
                options={[
                  { value: "notebook", label: t("work.notebook") },
                  { value: "task", label: t("work.task") },
                ]}
              />
              <LoadedSelect
                {...choice(t("common.pool"), pool, setPool)}
                queryKey="pools"
                load={(query) => ok(api.GET("/api/v1/pools", { params: { query } }))}
                option={named}
              />
              <LoadedSelect
                {...choice(t("work.node"), node, setNode)}
                queryKey="nodes"
                load={(query) => ok(api.GET("/api/v1/nodes", { params: { query } }))}
                option={named}
              />
              <LoadedSelect
                {...choice(t("common.spec"), spec, setSpec)}
                queryKey="specs"
                load={(query) => ok(api.GET("/api/v1/specs", { params: { query } }))}
                option={named}
              />
            </MoreFilters>
          </>
        }
        file={{ path: "/api/v1/replicas", query: filter }}
        bulk={(rows) => {
          const active = rows.filter((row) => !OVER.has(row.state));
          return (
            <Button danger disabled={active.length === 0} onClick={() => setStopping(active)}>
              {t("common.stop")}
            </Button>
          );
        }}
        expanded={(replica) => <Ids replica={replica} />}
      />
      <StopDialog replicas={stopping} onClose={() => setStopping([])} />
    </>
  );
}

const named = ({ id, name }: { id: string; name: string }) => ({ value: id, label: name });

const choice = (label: string, value: string | undefined, onChange: (value: string | undefined) => void) => ({
  allowClear: true,
  "aria-label": label,
  placeholder: label,
  value,
  onChange,
  style: { minWidth: 150 },
});

function Ids({ replica }: { replica: Replica }) {
  const { t } = useTranslation();
  const facts = [
    [t("work.workload"), replica.workload_id],
    [t("work.replica"), replica.replica_id],
    [t("work.attempt"), replica.attempt_id],
  ] as const;
  return (
    <Descriptions
      size="small"
      column={{ xs: 1, xl: 3 }}
      items={facts.flatMap(([label, id]) => (id ? [{ key: label, label, children: <Copyable text={id} /> }] : []))}
    />
  );
}

/** Stop replicas with a reason that their owners read. */
export function StopDialog({ replicas, onClose }: { replicas: Replica[]; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const fail = useFail();
  const [first] = replicas;
  const stop = async (body: { reason: string }) => {
    const refused: ApiError[] = [];
    for (const { replica_id } of replicas)
      await ok(api.POST("/api/v1/replicas/{replica_id}/stop", { params: { path: { replica_id } }, body })).catch(
        (error: ApiError) => refused.push(error),
      );
    if (refused[0] && replicas.length === 1) throw refused[0];
    if (refused[0]) fail(refused[0], [...new Set(refused.map((error) => error.message))]);
    return replicas.length - refused.length;
  };
  return (
    <FormDialog<{ reason: string }, number>
      title={
        replicas.length > 1
          ? t("work.stopMany", { count: replicas.length })
          : t("work.stopAsk", { owner: first?.owner_name })
      }
      name="stop-replica"
      open={replicas.length > 0}
      onClose={onClose}
      okText={t("common.stop")}
      danger
      submit={stop}
      onDone={(count) => count > 0 && message.success(t("work.stopped"))}
    >
      <Form.Item
        label={t("work.reason")}
        name="reason"
        extra={t("work.reasonHint")}
        rules={[{ required: true, whitespace: true, message: t("common.required") }]}
      >
        <Input.TextArea rows={3} maxLength={500} showCount autoFocus />
      </Form.Item>
    </FormDialog>
  );
}
