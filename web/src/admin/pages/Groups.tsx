import { api, ok, type Schemas } from "@shared/api/client";
import { useRole } from "@shared/session";
import { When } from "@shared/ui/bits";
import { FormDialog } from "@shared/ui/FormDialog";
import { useConfirm } from "@shared/ui/feedback";
import { by, type Column, ListPage } from "@shared/ui/ListPage";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import { useQuery } from "@tanstack/react-query";
import { Button, Form, Input, Spin, Tag } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";

type Group = Schemas["GroupOut"];
type Values = Schemas["GroupCreate"];

/** Groups of users, who share resource pools. */
export function Groups() {
  const { t } = useTranslation();
  const confirm = useConfirm();
  const canChange = useRole();
  const [creating, setCreating] = useState(false);
  const [editing, setEditing] = useState<Group>();

  const columns: Column<Group>[] = [
    { title: t("common.name"), dataIndex: "name", sorter: by((row) => row.name) },
    { title: t("common.description"), dataIndex: "description", render: (text) => text || "–" },
    { title: t("groups.members"), dataIndex: "members", sorter: by((row) => row.members) },
    {
      title: t("common.created"),
      dataIndex: "created_at",
      sorter: by((row) => row.created_at),
      render: (at) => <When at={at} />,
    },
  ];
  if (canChange)
    columns.push({
      key: "actions",
      render: (_, group) => (
        <span className="tags">
          <Button size="small" onClick={() => setEditing(group)}>
            {t("groups.edit")}
          </Button>
          <Button
            size="small"
            danger
            onClick={() =>
              confirm({
                title: t("common.deleteAsk", { name: group.name }),
                content: t("groups.deleteHint"),
                okText: t("common.delete"),
                action: () => ok(api.DELETE("/api/v1/groups/{group_id}", { params: { path: { group_id: group.id } } })),
              })
            }
          >
            {t("common.delete")}
          </Button>
        </span>
      ),
    });

  const create = canChange && (
    <Button type="primary" onClick={() => setCreating(true)}>
      {t("groups.create")}
    </Button>
  );
  return (
    <>
      <ListPage
        title={t("menu.groups")}
        about={t("groups.about")}
        queryKey={["groups"]}
        load={(query) => ok(api.GET("/api/v1/groups", { params: { query } }))}
        columns={columns}
        rowKey={(group) => group.id}
        extra={create}
        empty={t("groups.empty")}
        expanded={(group) => <Members id={group.id} />}
      />
      <FormDialog<Values, unknown>
        title={t("groups.create")}
        name="create-group"
        open={creating}
        onClose={() => setCreating(false)}
        initialValues={{ description: "", user_ids: [] }}
        submit={(body) => ok(api.POST("/api/v1/groups", { body }))}
      >
        <GroupFields />
      </FormDialog>
      {editing && <EditGroup group={editing} onClose={() => setEditing(undefined)} />}
    </>
  );
}

function useGroup(id: string) {
  return useQuery({
    queryKey: ["groups", id],
    queryFn: () => ok(api.GET("/api/v1/groups/{group_id}", { params: { path: { group_id: id } } })),
  });
}

function Members({ id }: { id: string }) {
  const { t } = useTranslation();
  const { data } = useGroup(id);
  if (!data) return <Spin size="small" />;
  if (data.users.length === 0) return t("groups.noMembers");
  return (
    <span className="tags">
      {data.users.map((user) => (
        <Tag key={user.id}>{user.username}</Tag>
      ))}
    </span>
  );
}

function EditGroup({ group, onClose }: { group: Group; onClose: () => void }) {
  const { t } = useTranslation();
  const { data } = useGroup(group.id);
  return (
    <FormDialog<Values, unknown>
      title={t("common.editOf", { name: group.name })}
      name="edit-group"
      open={Boolean(data)}
      onClose={onClose}
      initialValues={{ name: group.name, description: group.description, user_ids: data?.users.map((user) => user.id) }}
      submit={(body) => ok(api.PATCH("/api/v1/groups/{group_id}", { params: { path: { group_id: group.id } }, body }))}
    >
      <GroupFields />
    </FormDialog>
  );
}

function GroupFields() {
  const { t } = useTranslation();
  return (
    <>
      <Form.Item label={t("common.name")} name="name" rules={[{ required: true, message: t("common.required") }]}>
        <Input autoFocus />
      </Form.Item>
      <Form.Item label={t("common.description")} name="description">
        <Input />
      </Form.Item>
      <Form.Item label={t("groups.members")} name="user_ids">
        <LoadedSelect
          mode="multiple"
          queryKey="users"
          load={(query) => ok(api.GET("/api/v1/users", { params: { query } }))}
          option={(user) => ({ value: user.id, label: user.username })}
        />
      </Form.Item>
    </>
  );
}
