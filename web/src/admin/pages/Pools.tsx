import { api, ok, type Schemas } from "@shared/api/client";
import { FormDialog } from "@shared/ui/FormDialog";
import { useConfirm } from "@shared/ui/feedback";
import { by, type Column, ListPage } from "@shared/ui/ListPage";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import { UsageList } from "@shared/ui/Usage";
import { Button, Form, Input, Switch, Tag, Tooltip, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";

type Pool = Schemas["PoolOut"];
type Values = Schemas["PoolCreate"];
const ids = (rows: { id: string }[]) => rows.map((row) => row.id);

function Names({ rows, none }: { rows: { id: string; name: string }[]; none?: string }) {
  if (rows.length === 0) return <Typography.Text type="secondary">{none ?? "–"}</Typography.Text>;
  return (
    <span className="tags" style={{ maxWidth: 280 }}>
      {rows.map((row) => (
        <Tag key={row.id} style={{ marginInlineEnd: 0 }}>
          {row.name}
        </Tag>
      ))}
    </span>
  );
}

/** Resource pools: nodes, the specifications offered on them, and who may use them. */
export function Pools() {
  const { t } = useTranslation();
  const confirm = useConfirm();
  const [dialog, setDialog] = useState<"create" | Pool>();
  const edited = typeof dialog === "object" ? dialog : undefined;

  const columns: Column<Pool>[] = [
    {
      title: t("common.name"),
      dataIndex: "name",
      sorter: by((row) => row.name),
      render: (name, pool) => (
        <span className="tags">
          <Typography.Text strong>{name}</Typography.Text>
          {pool.is_default && <Tag color="blue">{t("pools.default")}</Tag>}
          {pool.description && (
            <Typography.Text type="secondary" className="reason">
              {pool.description}
            </Typography.Text>
          )}
        </span>
      ),
    },
    { title: t("menu.nodes"), dataIndex: "nodes", render: (nodes) => <Names rows={nodes} none={t("pools.noNodes")} /> },
    { title: t("pools.notebookSpecs"), dataIndex: "notebook_specs", render: (specs) => <Names rows={specs} /> },
    { title: t("pools.trainingSpecs"), dataIndex: "training_specs", render: (specs) => <Names rows={specs} /> },
    {
      title: t("pools.whoMay"),
      key: "groups",
      render: (_, pool) =>
        pool.open_to_all ? (
          <Tag color="green">{t("pools.open")}</Tag>
        ) : (
          <Names rows={pool.groups} none={t("pools.nobody")} />
        ),
    },
    { title: t("nodes.resources"), dataIndex: "usage", render: (usage) => <UsageList usage={usage} /> },
    {
      key: "actions",
      render: (_, pool) => (
        <span className="tags">
          <Button size="small" onClick={() => setDialog(pool)}>
            {t("common.edit")}
          </Button>
          <Tooltip title={pool.is_default ? t("pools.defaultStays") : undefined}>
            <Button
              size="small"
              danger
              disabled={pool.is_default}
              onClick={() =>
                confirm({
                  title: t("common.deleteAsk", { name: pool.name }),
                  content: t("pools.deleteHint"),
                  okText: t("common.delete"),
                  action: () => ok(api.DELETE("/api/v1/pools/{pool_id}", { params: { path: { pool_id: pool.id } } })),
                })
              }
            >
              {t("common.delete")}
            </Button>
          </Tooltip>
        </span>
      ),
    },
  ];
  const create = (
    <Button type="primary" onClick={() => setDialog("create")}>
      {t("pools.create")}
    </Button>
  );
  return (
    <>
      <ListPage
        title={t("menu.pools")}
        about={t("pools.about")}
        queryKey={["pools"]}
        load={(query) => ok(api.GET("/api/v1/pools", { params: { query: { ...query, role: "miner" } } }))}
        columns={columns}
        rowKey={(pool) => pool.id}
        extra={create}
        empty={t("pools.empty")}
      />
      <FormDialog<Values, unknown>
        title={edited ? t("common.editOf", { name: edited.name }) : t("pools.create")}
        name="pool"
        width={600}
        open={Boolean(dialog)}
        onClose={() => setDialog(undefined)}
        initialValues={
          edited
            ? {
                name: edited.name,
                description: edited.description,
                open_to_all: edited.open_to_all,
                node_ids: ids(edited.nodes),
                group_ids: ids(edited.groups),
                notebook_spec_ids: ids(edited.notebook_specs),
                training_spec_ids: ids(edited.training_specs),
              }
            : {
                description: "",
                open_to_all: false,
                node_ids: [],
                group_ids: [],
                notebook_spec_ids: [],
                training_spec_ids: [],
              }
        }
        submit={(body) =>
          edited
            ? ok(api.PATCH("/api/v1/pools/{pool_id}", { params: { path: { pool_id: edited.id } }, body }))
            : ok(api.POST("/api/v1/pools", { body }))
        }
      >
        <PoolFields />
      </FormDialog>
    </>
  );
}

function PoolFields() {
  const { t } = useTranslation();
  const specs = (label: string, name: string) => (
    <Form.Item label={label} name={name}>
      <LoadedSelect
        mode="multiple"
        queryKey="specs"
        load={(query) => ok(api.GET("/api/v1/specs", { params: { query } }))}
        option={(spec) => ({ value: spec.id, label: spec.name })}
      />
    </Form.Item>
  );
  return (
    <>
      <Form.Item label={t("common.name")} name="name" rules={[{ required: true, message: t("common.required") }]}>
        <Input autoFocus />
      </Form.Item>
      <Form.Item label={t("common.description")} name="description">
        <Input />
      </Form.Item>
      <Form.Item label={t("menu.nodes")} name="node_ids" extra={t("pools.nodesHint")}>
        <LoadedSelect
          mode="multiple"
          queryKey="nodes"
          load={(query) => ok(api.GET("/api/v1/nodes", { params: { query } }))}
          option={(node) => ({ value: node.id, label: `${node.name} (${node.pool_name})` })}
        />
      </Form.Item>
      {specs(t("pools.notebookSpecs"), "notebook_spec_ids")}
      {specs(t("pools.trainingSpecs"), "training_spec_ids")}
      <Form.Item label={t("pools.open")} name="open_to_all" valuePropName="checked" extra={t("pools.openHint")}>
        <Switch />
      </Form.Item>
      <Form.Item label={t("menu.groups")} name="group_ids" extra={t("pools.groupsHint")}>
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
