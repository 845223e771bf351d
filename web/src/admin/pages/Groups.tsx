import { api, ok, type Schemas } from "@shared/api/client";
import { useRole } from "@shared/session";
import { When } from "@shared/ui/bits";
import { FormDialog } from "@shared/ui/FormDialog";
import { useConfirm } from "@shared/ui/feedback";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import { Button, Form, Input } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";

type Group = Schemas["GroupOut"];

/** Groups of users, who share resource pools. */
export function Groups() {
  const { t } = useTranslation();
  const canChange = useRole();
  const deleteGroup = useDeleteGroup();
  const [creating, setCreating] = useState(false);
  const [editing, setEditing] = useState<Group>();

  const columns: Column<Group>[] = [
    {
      title: t("common.name"),
      dataIndex: "name",
      sort: "name",
      render: (name, group) => (
        <Link to={`/groups/${group.id}`} className="long" style={{ fontWeight: 600 }}>
          {name}
        </Link>
      ),
    },
    {
      title: t("common.description"),
      dataIndex: "description",
      render: (text) => <span className="long">{text || "–"}</span>,
    },
    { title: t("groups.members"), dataIndex: "members", align: "right" },
    { title: t("common.created"), dataIndex: "created_at", sort: "created_at", render: (at) => <When at={at} /> },
  ];
  if (canChange)
    columns.push({
      key: "actions",
      render: (_, group) => (
        <span className="tags">
          <Button size="small" onClick={() => setEditing(group)}>
            {t("groups.edit")}
          </Button>
          <Button size="small" danger onClick={() => deleteGroup(group)}>
            {t("common.delete")}
          </Button>
        </span>
      ),
    });

  return (
    <>
      <ListPage
        title={t("menu.groups")}
        about={t("groups.about")}
        queryKey={["groups"]}
        load={(query) => ok(api.GET("/api/v1/groups", { params: { query } }))}
        columns={columns}
        rowKey={(group) => group.id}
        extra={
          canChange && (
            <Button type="primary" onClick={() => setCreating(true)}>
              {t("groups.create")}
            </Button>
          )
        }
        file={{ path: "/api/v1/groups" }}
        empty={t("groups.empty")}
      />
      <FormDialog<Schemas["GroupCreate"], unknown>
        title={t("groups.create")}
        name="create-group"
        open={creating}
        onClose={() => setCreating(false)}
        initialValues={{ description: "", user_ids: [], manager_ids: [] }}
        submit={(body) => ok(api.POST("/api/v1/groups", { body }))}
      >
        <GroupFields />
        <Form.Item label={t("groups.members")} name="user_ids">
          <UserSelect />
        </Form.Item>
        <Form.Item label={t("groups.managers")} name="manager_ids" extra={t("groups.managersHint")}>
          <UserSelect />
        </Form.Item>
      </FormDialog>
      <EditGroup group={editing} onClose={() => setEditing(undefined)} />
    </>
  );
}

/** A group's name and description; its members are changed on its own page. */
export function EditGroup({ group, onClose }: { group: NamedGroup | undefined; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <FormDialog<Schemas["GroupUpdate"], unknown>
      title={t("common.editOf", { name: group?.name })}
      name="edit-group"
      open={Boolean(group)}
      onClose={onClose}
      initialValues={{ name: group?.name, description: group?.description }}
      submit={(body) =>
        ok(api.PATCH("/api/v1/groups/{group_id}", { params: { path: { group_id: group?.id ?? "" } }, body }))
      }
    >
      <GroupFields />
    </FormDialog>
  );
}

export type NamedGroup = Pick<Group, "id" | "name" | "description">;

/** Asks, and deletes; `done` follows when it is gone. */
export function useDeleteGroup() {
  const { t } = useTranslation();
  const confirm = useConfirm();
  return (group: NamedGroup, done?: () => void) =>
    confirm({
      title: t("common.deleteAsk", { name: group.name }),
      content: t("groups.deleteHint"),
      okText: t("common.delete"),
      done: t("groups.gone", { name: group.name }),
      action: async () => {
        await ok(api.DELETE("/api/v1/groups/{group_id}", { params: { path: { group_id: group.id } } }));
        done?.();
      },
    });
}

function GroupFields() {
  const { t } = useTranslation();
  return (
    <>
      <Form.Item label={t("common.name")} name="name" rules={[{ required: true, message: t("common.required") }]}>
        <Input autoFocus maxLength={64} />
      </Form.Item>
      <Form.Item label={t("common.description")} name="description">
        <Input maxLength={2000} />
      </Form.Item>
    </>
  );
}

/** The form's field gives it its id and value. */
function UserSelect(props: { id?: string; value?: string[]; onChange?: (ids: string[]) => void }) {
  return (
    <LoadedSelect
      {...props}
      mode="multiple"
      queryKey="users"
      load={(query) => ok(api.GET("/api/v1/users", { params: { query } }))}
      option={(user) => ({ value: user.id, label: user.username })}
    />
  );
}
