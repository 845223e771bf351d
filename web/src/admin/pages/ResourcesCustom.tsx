import { useAddress } from "@shared/address";
import { api, MAX_ROWS, ok, type Schemas } from "@shared/api/client";
import { Simulated, When } from "@shared/ui/bits";
import { FormDialog } from "@shared/ui/FormDialog";
import { useConfirm } from "@shared/ui/feedback";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Form, Input, Tag, Tooltip, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useUsageColumn } from "./ResourcesSystem";

type Custom = Schemas["CustomResourceOut"];
type Values = Schemas["CustomResourceCreate"];

/** The miner's own names for system resources; specifications are made of them. */
export function CustomResources() {
  const { t } = useTranslation();
  const confirm = useConfirm();
  const [adding, setAdding] = useState(false);
  const [editing, setEditing] = useState<Custom>();
  const [system, setSystem] = useAddress("system");
  const all = useQuery({
    queryKey: ["custom-resources", "all"],
    queryFn: () => ok(api.GET("/api/v1/custom-resources", { params: { query: { limit: MAX_ROWS } } })),
  });
  const path = (row: Custom) => ({ params: { path: { resource_id: row.id } } });

  const columns: Column<Custom>[] = [
    {
      title: t("common.name"),
      dataIndex: "name",
      sort: "name",
      render: (value, resource) => (
        <>
          <span className="tags">
            <Typography.Text strong>{value}</Typography.Text>
            <Simulated when={resource.simulated} />
          </span>
          {resource.description && (
            <Typography.Text type="secondary" className="reason">
              {resource.description}
            </Typography.Text>
          )}
        </>
      ),
    },
    {
      title: t("resources.systemResource"),
      dataIndex: "system_resource",
      render: (value, row) => (
        <>
          <code>{value}</code>
          <Shared names={(all.data?.items ?? []).filter((one) => sharesChips(one, row)).map((one) => one.name)} />
        </>
      ),
    },
    useUsageColumn<Custom>(),
    {
      title: t("menu.nodes"),
      dataIndex: "nodes",
      render: (nodes: Custom["nodes"]) =>
        nodes.length ? nodes.map((node) => node.name).join(", ") : t("resources.allNodes"),
    },
    {
      title: t("resources.usedBy"),
      dataIndex: "used_by_specs",
      render: (names: string[]) => (names.length ? <SpecNames names={names} /> : "–"),
    },
    { title: t("common.created"), dataIndex: "created_at", sort: "created_at", render: (at) => <When at={at} /> },
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
                content: t("resources.deleteHint"),
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
  return (
    <>
      <ListPage
        about={t("resources.customAbout")}
        queryKey={["custom-resources", { system }]}
        load={(query) =>
          ok(api.GET("/api/v1/custom-resources", { params: { query: { ...query, system_resource: system } } }))
        }
        columns={columns}
        rowKey={(row) => row.id}
        extra={
          <Button type="primary" onClick={() => setAdding(true)}>
            {t("resources.add")}
          </Button>
        }
        filtered={Boolean(system)}
        filters={
          <SystemSelect
            allowClear
            aria-label={t("resources.systemResource")}
            placeholder={t("resources.systemResource")}
            value={system}
            onChange={setSystem}
            style={{ minWidth: 190 }}
          />
        }
        file={{ path: "/api/v1/custom-resources", query: { system_resource: system } }}
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
        <AddFields others={all.data?.items ?? []} />
      </FormDialog>
      <FormDialog<Schemas["CustomResourceUpdate"], unknown>
        title={t("common.editOf", { name: editing?.name })}
        name="edit-custom-resource"
        open={Boolean(editing)}
        onClose={() => setEditing(undefined)}
        initialValues={{ node_ids: editing?.nodes.map((node) => node.id), description: editing?.description }}
        submit={(body) => ok(api.PATCH("/api/v1/custom-resources/{resource_id}", { ...path(editing as Custom), body }))}
      >
        <CommonFields system={editing?.system_resource} />
      </FormDialog>
    </>
  );
}

/** Whether two names stand, on some node, for the same chips. */
function sharesChips(one: Custom, other: Custom): boolean {
  if (one.id === other.id || one.system_resource !== other.system_resource || one.miner_id !== other.miner_id)
    return false;
  const here = new Set(other.nodes.map((node) => node.id));
  return one.nodes.length === 0 || here.size === 0 || one.nodes.some((node) => here.has(node.id));
}

function Shared({ names }: { names: string[] }) {
  const { t } = useTranslation();
  if (names.length === 0) return null;
  return (
    <div>
      <Tooltip title={t("resources.sharedHint")}>
        <Tag color="blue" tabIndex={0}>
          {t("resources.shared", { names: names.join(", ") })}
        </Tag>
      </Tooltip>
    </div>
  );
}

function SpecNames({ names }: { names: string[] }) {
  return (
    <span className="tags" style={{ maxWidth: 260 }}>
      {names.map((one) => (
        <Tag key={one} style={{ marginInlineEnd: 0 }}>
          {one}
        </Tag>
      ))}
    </span>
  );
}

function SystemSelect(props: Omit<Parameters<typeof LoadedSelect>[0], "queryKey" | "load" | "option">) {
  return (
    <LoadedSelect
      {...props}
      queryKey="system-resources"
      load={(query) => ok(api.GET("/api/v1/system-resources", { params: { query } }))}
      option={(row) => ({ value: row.name, label: `${row.name} (${row.usage.capacity_text})` })}
    />
  );
}

function AddFields({ others }: { others: Custom[] }) {
  const { t } = useTranslation();
  const form = Form.useFormInstance<Values>();
  const system = Form.useWatch("system_resource", form);
  const required = [{ required: true, message: t("common.required") }];
  const named = others.filter((one) => one.system_resource === system).map((one) => one.name);
  return (
    <>
      <Form.Item label={t("common.name")} name="name" rules={required} extra={t("resources.nameHint")}>
        <Input placeholder="TPU1684X" maxLength={64} />
      </Form.Item>
      <Form.Item label={t("resources.systemResource")} name="system_resource" rules={required}>
        <SystemSelect />
      </Form.Item>
      {named.length > 0 && (
        <Alert
          type="info"
          showIcon
          style={{ marginBottom: 16 }}
          title={t("resources.shared", { names: named.join(", ") })}
          description={t("resources.sharedHint")}
        />
      )}
      <CommonFields system={system} />
    </>
  );
}

function CommonFields({ system }: { system: string | undefined }) {
  const { t } = useTranslation();
  return (
    <>
      <Form.Item label={t("resources.onNodes")} name="node_ids" extra={t("resources.onNodesHint")}>
        <LoadedSelect
          mode="multiple"
          queryKey="nodes"
          placeholder={t("resources.allNodes")}
          load={(query) => ok(api.GET("/api/v1/nodes", { params: { query } }))}
          option={(node) => ({
            value: node.id,
            label: node.name,
            disabled: Boolean(system) && !node.resources.some((usage) => usage.resource === system),
          })}
        />
      </Form.Item>
      <Form.Item label={t("common.description")} name="description">
        <Input maxLength={2000} />
      </Form.Item>
    </>
  );
}
