import { api, ok, type Schemas } from "@shared/api/client";
import { Simulated, useResourceName, When } from "@shared/ui/bits";
import { FormDialog } from "@shared/ui/FormDialog";
import { useConfirm } from "@shared/ui/feedback";
import { by, type Column, ListPage } from "@shared/ui/ListPage";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import { TabsPage } from "@shared/ui/TabsPage";
import { Button, Form, Input, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";

type System = Schemas["SystemResourceOut"];
type Custom = Schemas["CustomResourceOut"];

export function Resources() {
  const { t } = useTranslation();
  return (
    <TabsPage
      title={t("menu.resources")}
      tabs={[
        { key: "system", label: t("resources.system"), children: <SystemResources /> },
        { key: "custom", label: t("resources.custom"), children: <CustomResources /> },
      ]}
    />
  );
}

const figures = <T extends { usage: Schemas["Usage"] }>(
  t: (key: "usage.capacity" | "usage.allocated" | "usage.free") => string,
): Column<T>[] => [
  {
    title: t("usage.capacity"),
    key: "capacity",
    sorter: by((row) => row.usage.capacity),
    render: (_, row) => row.usage.capacity_text,
  },
  {
    title: t("usage.allocated"),
    key: "allocated",
    sorter: by((row) => row.usage.allocated),
    render: (_, row) => row.usage.allocated_text,
  },
  { title: t("usage.free"), key: "free", sorter: by((row) => row.usage.free), render: (_, row) => row.usage.free_text },
];

function SystemResources() {
  const { t } = useTranslation();
  const name = useResourceName();
  const columns: Column<System>[] = [
    {
      title: t("common.name"),
      dataIndex: "name",
      sorter: by((row) => row.name),
      render: (value, resource) => (
        <span className="tags">
          <code>{value}</code>
          {name(value) !== value && <Typography.Text type="secondary">{name(value)}</Typography.Text>}
          <Simulated when={resource.simulated} />
        </span>
      ),
    },
    { title: t("resources.unit"), dataIndex: "unit", render: (unit) => t(`unit.${unit}` as "unit.bytes") },
    ...figures<System>(t),
    {
      title: t("menu.nodes"),
      dataIndex: "nodes",
      render: (nodes: System["nodes"]) => nodes.map((node) => node.name).join(", "),
    },
    {
      title: t("resources.customNames"),
      dataIndex: "custom_names",
      render: (names: string[]) => names.map((one) => <Tag key={one}>{one}</Tag>),
    },
  ];
  return (
    <ListPage
      about={t("resources.systemAbout")}
      queryKey={["system-resources"]}
      load={(query) => ok(api.GET("/api/v1/system-resources", { params: { query } }))}
      columns={columns}
      rowKey={(row) => row.name}
      empty={t("resources.systemEmpty")}
    />
  );
}

type Values = Schemas["CustomResourceCreate"];

function CustomResources() {
  const { t } = useTranslation();
  const confirm = useConfirm();
  const [adding, setAdding] = useState(false);
  const [editing, setEditing] = useState<Custom>();
  const required = [{ required: true, message: t("common.required") }];
  const path = (row: Custom) => ({ params: { path: { resource_id: row.id } } });

  const columns: Column<Custom>[] = [
    {
      title: t("common.name"),
      dataIndex: "name",
      sorter: by((row) => row.name),
      render: (value, resource) => (
        <span className="tags">
          <Typography.Text strong>{value}</Typography.Text>
          <Simulated when={resource.simulated} />
          {resource.description && (
            <Typography.Text type="secondary" className="reason">
              {resource.description}
            </Typography.Text>
          )}
        </span>
      ),
    },
    { title: t("resources.systemResource"), dataIndex: "system_resource", render: (value) => <code>{value}</code> },
    ...figures<Custom>(t),
    {
      title: t("menu.nodes"),
      dataIndex: "nodes",
      render: (nodes: Custom["nodes"]) =>
        nodes.length ? nodes.map((node) => node.name).join(", ") : t("resources.allNodes"),
    },
    {
      title: t("resources.usedBy"),
      dataIndex: "used_by_specs",
      render: (names: string[]) => names.map((one) => <Tag key={one}>{one}</Tag>),
    },
    { title: t("common.created"), dataIndex: "created_at", render: (at) => <When at={at} /> },
    {
      key: "actions",
      render: (_, row) => (
        <span className="tags">
          <Button size="small" onClick={() => setEditing(row)}>
            {t("common.edit")}
          </Button>
          <Button
            size="small"
            danger
            onClick={() =>
              confirm({
                title: t("common.deleteAsk", { name: row.name }),
                okText: t("common.delete"),
                action: () => ok(api.DELETE("/api/v1/custom-resources/{resource_id}", path(row))),
              })
            }
          >
            {t("common.delete")}
          </Button>
        </span>
      ),
    },
  ];
  const common = (
    <>
      <Form.Item label={t("resources.onNodes")} name="node_ids" extra={t("resources.onNodesHint")}>
        <LoadedSelect
          mode="multiple"
          queryKey="nodes"
          placeholder={t("resources.allNodes")}
          load={(query) => ok(api.GET("/api/v1/nodes", { params: { query } }))}
          option={(node) => ({ value: node.id, label: node.name })}
        />
      </Form.Item>
      <Form.Item label={t("common.description")} name="description">
        <Input />
      </Form.Item>
    </>
  );
  const add = (
    <Button type="primary" onClick={() => setAdding(true)}>
      {t("resources.add")}
    </Button>
  );
  return (
    <>
      <ListPage
        about={t("resources.customAbout")}
        queryKey={["custom-resources"]}
        load={(query) => ok(api.GET("/api/v1/custom-resources", { params: { query } }))}
        columns={columns}
        rowKey={(row) => row.id}
        extra={add}
        empty={t("resources.customEmpty")}
      />
      <FormDialog<Values, unknown>
        title={t("resources.add")}
        name="custom-resource"
        open={adding}
        onClose={() => setAdding(false)}
        initialValues={{ node_ids: [], description: "" }}
        submit={(body) => ok(api.POST("/api/v1/custom-resources", { body }))}
      >
        <Form.Item label={t("common.name")} name="name" rules={required} extra={t("resources.nameHint")}>
          <Input placeholder="TPU1684X" autoFocus />
        </Form.Item>
        <Form.Item label={t("resources.systemResource")} name="system_resource" rules={required}>
          <LoadedSelect
            queryKey="system-resources"
            load={(query) => ok(api.GET("/api/v1/system-resources", { params: { query } }))}
            option={(row) => ({ value: row.name, label: `${row.name} (${row.usage.capacity_text})` })}
          />
        </Form.Item>
        {common}
      </FormDialog>
      <FormDialog<Schemas["CustomResourceUpdate"], unknown>
        title={t("common.editOf", { name: editing?.name })}
        name="edit-custom-resource"
        open={Boolean(editing)}
        onClose={() => setEditing(undefined)}
        initialValues={{ node_ids: editing?.nodes.map((node) => node.id), description: editing?.description }}
        submit={(body) => ok(api.PATCH("/api/v1/custom-resources/{resource_id}", { ...path(editing as Custom), body }))}
      >
        {common}
      </FormDialog>
    </>
  );
}
