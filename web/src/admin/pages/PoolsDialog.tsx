import { api, ok, type Schemas } from "@shared/api/client";
import { ApiError } from "@shared/api/problem";
import { formatUnc } from "@shared/format";
import { FormDialog } from "@shared/ui/FormDialog";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import { Form, Input, Switch } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { GRACE, type Moving, WhenBusyFields } from "./NodesMoving";

type Pool = Schemas["PoolOut"];

interface Values extends Moving {
  name: string;
  description: string;
  open_to_all: boolean;
  node_ids: string[];
  group_ids: string[];
  notebook_spec_ids: string[];
  training_spec_ids: string[];
}

const ids = (rows: { id: string }[]) => rows.map((row) => row.id);
const EMPTY = {
  description: "",
  open_to_all: false,
  node_ids: [],
  group_ids: [],
  notebook_spec_ids: [],
  training_spec_ids: [],
};

/** Create or edit a pool. Where work runs on a node that would change its pool, it asks what becomes of it. */
export function PoolDialog({ pool, onClose }: { pool: Pool | undefined; onClose: () => void }) {
  const { t } = useTranslation();
  const [busy, setBusy] = useState(false);
  const submit = async (values: Values) => {
    const body = { when_busy: "refuse" as const, reason: "", grace_minutes: GRACE, ...values };
    try {
      return await (pool
        ? ok(api.PATCH("/api/v1/pools/{pool_id}", { params: { path: { pool_id: pool.id } }, body }))
        : ok(api.POST("/api/v1/pools", { body })));
    } catch (error) {
      if (error instanceof ApiError && error.problem.code === "node_busy") setBusy(true);
      throw error;
    }
  };
  return (
    <FormDialog<Values, unknown>
      title={pool ? t("common.editOf", { name: pool.name }) : t("pools.create")}
      name="pool"
      width={640}
      open
      onClose={onClose}
      initialValues={
        pool
          ? {
              name: pool.name,
              description: pool.description,
              open_to_all: pool.open_to_all,
              // Who comes later is one of it already: left out, it would be called back.
              node_ids: ids([...pool.nodes, ...pool.arriving]),
              group_ids: ids(pool.groups),
              notebook_spec_ids: ids(pool.notebook_specs),
              training_spec_ids: ids(pool.training_specs),
            }
          : EMPTY
      }
      submit={submit}
    >
      <PoolFields pool={pool} busy={busy} />
    </FormDialog>
  );
}

function PoolFields({ pool, busy }: { pool: Pool | undefined; busy: boolean }) {
  const { t } = useTranslation();
  const form = Form.useFormInstance<Values>();
  const open = Form.useWatch("open_to_all", form);
  const specs = (label: string, name: string, extra: string) => (
    <Form.Item label={label} name={name} extra={extra}>
      <LoadedSelect
        mode="multiple"
        queryKey="specs"
        load={(query) => ok(api.GET("/api/v1/specs", { params: { query } }))}
        option={(spec) => ({ value: spec.id, label: `${spec.name} · ${formatUnc(spec.price)}${t("common.perHour")}` })}
      />
    </Form.Item>
  );
  return (
    <>
      <Form.Item
        label={t("common.name")}
        name="name"
        rules={[{ required: true, whitespace: true, message: t("common.required") }]}
      >
        <Input maxLength={64} />
      </Form.Item>
      <Form.Item label={t("common.description")} name="description">
        <Input maxLength={2000} />
      </Form.Item>
      <Form.Item
        label={t("menu.nodes")}
        name="node_ids"
        extra={pool?.is_default ? t("pools.defaultNodesHint") : t("pools.nodesHint")}
      >
        <LoadedSelect
          mode="multiple"
          queryKey="nodes"
          load={(query) => ok(api.GET("/api/v1/nodes", { params: { query } }))}
          option={(node) => ({ value: node.id, label: `${node.name} (${node.pool_name})` })}
        />
      </Form.Item>
      {busy && (
        <div className="preview">
          <WhenBusyFields />
        </div>
      )}
      {specs(t("pools.notebookSpecs"), "notebook_spec_ids", t("pools.notebookHint"))}
      {specs(t("pools.trainingSpecs"), "training_spec_ids", t("pools.trainingHint"))}
      <Form.Item label={t("pools.open")} name="open_to_all" valuePropName="checked" extra={t("pools.openHint")}>
        <Switch />
      </Form.Item>
      <Form.Item label={t("menu.groups")} name="group_ids" extra={t("pools.groupsHint")} hidden={Boolean(open)}>
        <LoadedSelect
          mode="multiple"
          queryKey="groups"
          load={(query) => ok(api.GET("/api/v1/groups", { params: { query } }))}
          option={(group) => ({ value: group.id, label: group.name })}
        />
      </Form.Item>
    </>
  );
}
