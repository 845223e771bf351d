import { api, MAX_ROWS, ok } from "@shared/api/client";
import { ApiError } from "@shared/api/problem";
import { FormDialog } from "@shared/ui/FormDialog";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import { useQueries } from "@tanstack/react-query";
import { Alert, App, Form, Input, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { DrainFields, GRACE, type Moving, WhenBusyFields } from "./NodesMoving";
import type { Node } from "./NodesParts";

interface Props {
  nodes: Node[];
  onClose: () => void;
}
const path = (node: Node) => ({ params: { path: { node_id: node.id } } });

/** One after the other, so that the first refusal names its node. Those before it stay done. */
async function each(nodes: Node[], change: (node: Node) => Promise<unknown>): Promise<void> {
  for (const node of nodes) {
    try {
      await change(node);
    } catch (error) {
      if (nodes.length > 1 && error instanceof ApiError)
        throw new ApiError({ ...error.problem, detail: `${node.name}: ${error.problem.detail}` });
      throw error;
    }
  }
}

const names = (nodes: Node[]) => nodes.map((node) => node.name).join(", ");

export function CordonDialog({ nodes, onClose }: Props) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  return (
    <FormDialog<{ reason: string }, void>
      title={t("nodes.cordonAsk", { names: names(nodes) })}
      name="cordon"
      open
      onClose={onClose}
      okText={t("nodes.cordon")}
      initialValues={{ reason: "" }}
      intro={<Typography.Paragraph type="secondary">{t("nodes.cordonAbout")}</Typography.Paragraph>}
      submit={(body) => each(nodes, (node) => ok(api.POST("/api/v1/nodes/{node_id}/cordon", { ...path(node), body })))}
      onDone={() => message.success(t("nodes.cordonDone", { names: names(nodes) }))}
    >
      <Form.Item label={t("nodes.cordonReason")} name="reason" extra={t("nodes.cordonReasonHint")}>
        <Input maxLength={500} autoFocus />
      </Form.Item>
    </FormDialog>
  );
}

export function DrainDialog({ nodes, onClose }: Props) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  return (
    <FormDialog<{ reason: string; grace_minutes: number }, void>
      title={t("nodes.drainAsk", { names: names(nodes) })}
      name="drain"
      open
      onClose={onClose}
      okText={t("nodes.drain")}
      initialValues={{ grace_minutes: GRACE }}
      intro={
        <>
          <Typography.Paragraph type="secondary">{t("nodes.drainAbout")}</Typography.Paragraph>
          <WhoIsTold nodes={nodes} />
        </>
      }
      submit={(body) => each(nodes, (node) => ok(api.POST("/api/v1/nodes/{node_id}/drain", { ...path(node), body })))}
      onDone={() => message.success(t("nodes.drainDone", { names: names(nodes) }))}
    >
      <DrainFields />
    </FormDialog>
  );
}

/** Whose work runs on the nodes, and so who is told. */
function WhoIsTold({ nodes }: { nodes: Node[] }) {
  const { t } = useTranslation();
  const work = useQueries({
    queries: nodes
      .filter((node) => node.replicas > 0)
      .slice(0, 20)
      .map((node) => {
        const query = { node_id: node.id, limit: MAX_ROWS };
        return {
          queryKey: ["replicas", "told", node.id],
          queryFn: () => ok(api.GET("/api/v1/replicas", { params: { query } })),
        };
      }),
  });
  const count = nodes.reduce((sum, node) => sum + node.replicas, 0);
  const owners = new Map<string, number>();
  for (const { data } of work)
    for (const { owner_name } of data?.items ?? []) owners.set(owner_name, (owners.get(owner_name) ?? 0) + 1);
  if (count === 0) return <Alert type="success" showIcon style={{ marginBottom: 16 }} title={t("nodes.nobodyTold")} />;
  return (
    <Alert
      type="warning"
      showIcon
      style={{ marginBottom: 16 }}
      title={t("nodes.told", { count })}
      description={
        <span className="tags">
          {[...owners].map(([owner, replicas]) => (
            <Tag key={owner}>{replicas > 1 ? `${owner} (${replicas})` : owner}</Tag>
          ))}
        </span>
      }
    />
  );
}

interface MoveValues extends Moving {
  pool_id: string;
}

/** To another pool. Where work runs it asks what becomes of it: wait, drain, or leave it by Cancel. */
export function MoveDialog({ nodes, onClose }: Props) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const [busy, setBusy] = useState(nodes.some((node) => node.replicas > 0));
  const move = async ({ pool_id, ...moving }: MoveValues) => {
    const body = { pool_id, when_busy: "refuse" as const, reason: "", grace_minutes: GRACE, ...moving };
    try {
      await each(nodes, (node) => ok(api.POST("/api/v1/nodes/{node_id}/move", { ...path(node), body })));
    } catch (error) {
      if (error instanceof ApiError && error.problem.code === "node_busy") setBusy(true);
      throw error;
    }
  };
  return (
    <FormDialog<MoveValues, void>
      title={t("nodes.moveAsk", { names: names(nodes) })}
      name="move"
      open
      onClose={onClose}
      okText={t("nodes.move")}
      submit={move}
      onDone={() => message.success(t(busy ? "nodes.moveLater" : "nodes.moveDone", { names: names(nodes) }))}
    >
      <Form.Item label={t("common.pool")} name="pool_id" rules={[{ required: true, message: t("common.required") }]}>
        <LoadedSelect
          queryKey="pools"
          load={(query) => ok(api.GET("/api/v1/pools", { params: { query: { ...query, role: "miner" } } }))}
          option={(pool) => ({
            value: pool.id,
            label: pool.name,
            disabled: nodes.every((node) => node.pool_id === pool.id),
          })}
        />
      </Form.Item>
      {busy && <WhenBusyFields />}
    </FormDialog>
  );
}
