import { useAddress } from "@shared/address";
import { api, ok, type Schemas } from "@shared/api/client";
import { said } from "@shared/i18n/said";
import { useAgreedPrice } from "@shared/money/price";
import { Simulated, type State, STATES, StateTag, Unc, When } from "@shared/ui/bits";
import { useAct, useConfirm } from "@shared/ui/feedback";
import { Filter } from "@shared/ui/Filter";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { Button, Drawer, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { CreateNotebook } from "./CreateNotebook";
import { NotebookDetail } from "./NotebookDetail";
import { OpenNotebook } from "./OpenNotebook";

export type Notebook = Schemas["NotebookOut"];
const OVER = new Set<State>(["stopped", "failed", "succeeded"]);

/** Create, open, start, stop and delete notebooks. */
export function Notebooks() {
  const { t } = useTranslation();
  const [shown, setShown] = useState<string>();
  const [opening, setOpening] = useState<string>();
  const [state, setState] = useAddress<State>("state");
  const [create, setCreate] = useAddress("create");

  const columns: Column<Notebook>[] = [
    {
      title: t("common.name"),
      dataIndex: "name",
      sort: "name",
      render: (name, notebook) => (
        <span className="tags">
          <Button type="link" style={{ padding: 0 }} onClick={() => setShown(notebook.id)}>
            {name}
          </Button>
          <Simulated when={notebook.simulated} />
        </span>
      ),
    },
    {
      title: t("common.status"),
      dataIndex: "state",
      sort: "state",
      render: (state, notebook) => (
        <>
          <span className="tags">
            <StateTag state={state} />
            <Typography.Text type="secondary">
              <When at={notebook.changed_at} />
            </Typography.Text>
          </span>
          {notebook.reason && (
            <Typography.Text type={state === "failed" ? "danger" : "secondary"} className="reason">
              {said(notebook.reason)}
            </Typography.Text>
          )}
        </>
      ),
    },
    {
      title: `${t("common.algorithm")} · ${t("common.image")}`,
      dataIndex: "algorithm",
      render: (algorithm, notebook) => (
        <>
          {algorithm || "–"}
          <Typography.Text type="secondary" className="reason">
            {[notebook.image, notebook.dataset].filter(Boolean).join(" · ")}
          </Typography.Text>
        </>
      ),
    },
    {
      title: `${t("common.spec")} · ${t("common.price")}`,
      dataIndex: "spec",
      render: (spec, notebook) => (
        <>
          {spec}
          <Typography.Text type="secondary" className="reason">
            <Unc value={notebook.price} perHour /> · {notebook.pool} ·{" "}
            {t("notebooks.subtasks", { count: notebook.replicas.length })}
          </Typography.Text>
        </>
      ),
    },
    { title: t("common.created"), dataIndex: "created_at", sort: "created_at", render: (at) => <When at={at} /> },
    {
      key: "actions",
      render: (_, notebook) => <NotebookActions notebook={notebook} onOpen={() => setOpening(notebook.id)} />,
    },
  ];
  return (
    <>
      <ListPage
        title={t("menu.notebooks")}
        about={t("notebooks.about")}
        queryKey={["notebooks", { state }]}
        load={(query) => ok(api.GET("/api/v1/notebooks", { params: { query: { ...query, state: state && [state] } } }))}
        columns={columns}
        rowKey={(notebook) => notebook.id}
        extra={
          <Button type="primary" onClick={() => setCreate("1")}>
            {t("notebooks.create")}
          </Button>
        }
        filtered={Boolean(state)}
        filters={
          <Filter
            label={t("common.status")}
            value={state}
            onChange={setState}
            options={STATES.map((value) => ({ value, label: t(`state.${value}`) }))}
          />
        }
        file={{ path: "/api/v1/notebooks", query: { state } }}
        empty={t("notebooks.empty")}
      />
      <CreateNotebook open={Boolean(create)} onClose={() => setCreate(undefined)} />
      <OpenNotebook id={opening} onClose={() => setOpening(undefined)} />
      <Drawer
        title={t("notebooks.detail")}
        open={Boolean(shown)}
        onClose={() => setShown(undefined)}
        size={900}
        destroyOnHidden
      >
        {shown && <NotebookDetail id={shown} onOpen={() => setOpening(shown)} onGone={() => setShown(undefined)} />}
      </Drawer>
    </>
  );
}

export function NotebookActions({
  notebook,
  onOpen,
  onGone,
}: {
  notebook: Notebook;
  onOpen: () => void;
  onGone?: () => void;
}) {
  const { t } = useTranslation();
  const act = useAct();
  const confirm = useConfirm();
  const agreed = useAgreedPrice();
  const path = { params: { path: { notebook_id: notebook.id } } };
  const over = OVER.has(notebook.state);
  const canOpen = notebook.replicas.some((replica) => replica.can_open);
  return (
    <span className="tags">
      <Button size="small" type="primary" disabled={!canOpen} onClick={onOpen}>
        {t("common.open")}
      </Button>
      {over ? (
        <ActionButton
          label={t("common.start")}
          action={() =>
            act(() =>
              agreed(notebook.price, (expected_price) =>
                ok(api.POST("/api/v1/notebooks/{notebook_id}/start", { ...path, body: { expected_price } })),
              ),
            )
          }
        />
      ) : (
        <Button
          size="small"
          disabled={notebook.state === "stopping"}
          onClick={() =>
            confirm({
              title: t("notebooks.stopAsk", { name: notebook.name }),
              content: t("notebooks.stopHint"),
              okText: t("common.stop"),
              action: () => ok(api.POST("/api/v1/notebooks/{notebook_id}/stop", { ...path, body: { reason: "" } })),
            })
          }
        >
          {t("common.stop")}
        </Button>
      )}
      <Button
        size="small"
        danger
        onClick={() =>
          confirm({
            title: t("common.deleteAsk", { name: notebook.name }),
            content: t("notebooks.deleteHint"),
            okText: t("common.delete"),
            action: async () => {
              await ok(api.DELETE("/api/v1/notebooks/{notebook_id}", path));
              onGone?.();
            },
          })
        }
      >
        {t("common.delete")}
      </Button>
    </span>
  );
}

/** A button that is busy while what it does goes on. */
function ActionButton({ label, action }: { label: string; action: () => Promise<unknown> }) {
  const [busy, setBusy] = useState(false);
  return (
    <Button
      size="small"
      loading={busy}
      onClick={async () => {
        setBusy(true);
        await action();
        setBusy(false);
      }}
    >
      {label}
    </Button>
  );
}
