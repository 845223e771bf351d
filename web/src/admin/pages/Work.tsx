import { api, ok, type Schemas } from "@shared/api/client";
import { Copyable, type State, STATES, StateTag, Unc, When } from "@shared/ui/bits";
import { FormDialog } from "@shared/ui/FormDialog";
import { Filter } from "@shared/ui/Filter";
import { by, type Column, ListPage } from "@shared/ui/ListPage";
import { App, Button, Form, Input, Tag } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";

type Replica = Schemas["WorkOut"];
const OVER = new Set<State>(["stopping", "stopped", "failed", "succeeded"]);

/** Replicas on my hardware: whose, on which chips, at which price; never what is in them. */
export function Work() {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const [state, setState] = useState<State>();
  const [stopping, setStopping] = useState<Replica>();
  const columns: Column<Replica>[] = [
    { title: t("common.user"), dataIndex: "owner_name", sorter: by((row) => row.owner_name) },
    {
      title: t("work.kind"),
      dataIndex: "kind",
      render: (kind) => t(kind === "notebook" ? "work.notebook" : "work.task"),
    },
    {
      title: t("common.status"),
      dataIndex: "state",
      sorter: by((row) => row.state),
      render: (state) => <StateTag state={state} />,
    },
    { title: t("common.spec"), dataIndex: "spec", sorter: by((row) => row.spec) },
    { title: t("common.price"), dataIndex: "price", render: (value) => <Unc value={value} perHour /> },
    { title: t("work.node"), dataIndex: "node", sorter: by((row) => row.node), render: (node) => node || "–" },
    {
      title: t("work.chips"),
      dataIndex: "chips",
      render: (chips: string[]) => (chips.length ? chips.map((chip) => <Tag key={chip}>{chip}</Tag>) : "–"),
    },
    { title: t("common.since"), dataIndex: "since", sorter: by((row) => row.since), render: (at) => <When at={at} /> },
    {
      key: "actions",
      render: (_, replica) =>
        !OVER.has(replica.state) && (
          <Button size="small" danger onClick={() => setStopping(replica)}>
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
        queryKey={["replicas", { state }]}
        load={(query) => ok(api.GET("/api/v1/replicas", { params: { query: { ...query, state: state && [state] } } }))}
        columns={columns}
        rowKey={(replica) => replica.replica_id}
        empty={t("work.empty")}
        filtered={Boolean(state)}
        filters={
          <Filter
            label={t("common.status")}
            value={state}
            onChange={setState}
            options={STATES.filter((one) => !OVER.has(one) || one === "stopping").map((value) => ({
              value,
              label: t(`state.${value}`),
            }))}
          />
        }
        expanded={(replica) => (
          <span className="tags">
            {t("work.replica")} <Copyable text={replica.replica_id} /> {t("work.workload")}{" "}
            <Copyable text={replica.workload_id} />
          </span>
        )}
      />
      <FormDialog<{ reason: string }, unknown>
        title={t("work.stopAsk", { owner: stopping?.owner_name })}
        name="stop-replica"
        open={Boolean(stopping)}
        onClose={() => setStopping(undefined)}
        okText={t("common.stop")}
        submit={(body) =>
          ok(
            api.POST("/api/v1/replicas/{replica_id}/stop", {
              params: { path: { replica_id: stopping?.replica_id ?? "" } },
              body,
            }),
          )
        }
        onDone={() => message.success(t("work.stopped"))}
      >
        <Form.Item
          label={t("work.reason")}
          name="reason"
          extra={t("work.reasonHint")}
          rules={[{ required: true, message: t("common.required") }]}
        >
          <Input.TextArea rows={3} maxLength={500} showCount />
        </Form.Item>
      </FormDialog>
    </>
  );
}
