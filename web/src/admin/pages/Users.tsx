import { api, ok, type Schemas } from "@shared/api/client";
import { useRole, useSession } from "@shared/session";
import { Copyable, When } from "@shared/ui/bits";
import { FormDialog } from "@shared/ui/FormDialog";
import { useAct, useConfirm, useFail } from "@shared/ui/feedback";
import { by, type Column, ListPage } from "@shared/ui/ListPage";
import { LoadedSelect } from "@shared/ui/LoadedSelect";
import { App, Button, Dropdown, Form, Input, Select, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";

type User = Schemas["UserOut"];
const ROLES = ["operator", "miner", "renter"] as const;

/** Who may use the platform. Operators change; miners look. */
export function Users() {
  const { t } = useTranslation();
  const { modal } = App.useApp();
  const canChange = useRole();
  const [creating, setCreating] = useState(false);
  const [editing, setEditing] = useState<User>();
  const path = (user: User) => ({ params: { path: { user_id: user.id } } });

  const showPassword = (username: string, password: string) =>
    modal.success({
      title: t("users.passwordOnce", { username }),
      content: (
        <>
          <Typography.Paragraph type="secondary">{t("users.passwordOnceHint")}</Typography.Paragraph>
          <Copyable text={password} label={t("login.password")} />
        </>
      ),
    });

  const columns: Column<User>[] = [
    {
      title: t("login.username"),
      dataIndex: "username",
      sorter: by((row) => row.username),
      render: (username, user) => (
        <>
          <Typography.Text strong>{username}</Typography.Text>
          <Typography.Text type="secondary" className="reason">
            {[user.display_name, user.email].filter(Boolean).join(" · ")}
          </Typography.Text>
        </>
      ),
    },
    {
      title: t("users.roles"),
      dataIndex: "roles",
      render: (roles: User["roles"]) => (
        <span className="tags">
          {roles.map((role) => (
            <Tag key={role} color={role === "operator" ? "volcano" : role === "miner" ? "geekblue" : undefined}>
              {t(`role.${role}`)}
            </Tag>
          ))}
        </span>
      ),
    },
    {
      title: t("menu.groups"),
      dataIndex: "groups",
      render: (groups: User["groups"]) => groups?.map((group) => <Tag key={group.id}>{group.name}</Tag>),
    },
    {
      title: t("common.status"),
      dataIndex: "status",
      sorter: by((row) => row.status),
      render: (status: User["status"]) => (
        <Tag color={status === "active" ? "green" : "blue"}>{t(`userStatus.${status}`)}</Tag>
      ),
    },
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
      render: (_, user) => (
        <Actions
          user={user}
          onEdit={() => setEditing(user)}
          onPassword={(password) => showPassword(user.username, password)}
        />
      ),
    });

  const create = canChange && (
    <Button type="primary" onClick={() => setCreating(true)}>
      {t("users.create")}
    </Button>
  );
  return (
    <>
      <ListPage
        title={t("menu.users")}
        about={t("users.about")}
        queryKey={["users"]}
        load={(query) => ok(api.GET("/api/v1/users", { params: { query } }))}
        columns={columns}
        rowKey={(user) => user.id}
        extra={create}
        empty={t("users.empty")}
      />
      <FormDialog<Schemas["UserCreate"], Schemas["UserCreated"]>
        title={t("users.create")}
        name="create-user"
        open={creating}
        onClose={() => setCreating(false)}
        initialValues={{ display_name: "", email: "", roles: ["renter"], group_ids: [] }}
        submit={(values) => ok(api.POST("/api/v1/users", { body: { ...values, password: values.password || null } }))}
        onDone={(user) => user.initial_password && showPassword(user.username, user.initial_password)}
      >
        <Form.Item
          label={t("login.username")}
          name="username"
          extra={t("users.usernameHint")}
          rules={[{ required: true, message: t("common.required") }]}
        >
          <Input autoComplete="off" autoCapitalize="none" autoFocus />
        </Form.Item>
        <Form.Item label={t("login.password")} name="password" extra={t("users.passwordHint")}>
          <Input.Password autoComplete="new-password" placeholder={t("users.generated")} />
        </Form.Item>
        <UserFields />
      </FormDialog>
      <FormDialog<Schemas["UserUpdate"], unknown>
        title={t("common.editOf", { name: editing?.username })}
        name="edit-user"
        open={Boolean(editing)}
        onClose={() => setEditing(undefined)}
        initialValues={{
          display_name: editing?.display_name,
          email: editing?.email,
          roles: editing?.roles,
          group_ids: editing?.groups?.map((group) => group.id),
        }}
        submit={(body) => ok(api.PATCH("/api/v1/users/{user_id}", { ...path(editing as User), body }))}
      >
        <UserFields />
      </FormDialog>
    </>
  );
}

function UserFields() {
  const { t } = useTranslation();
  return (
    <>
      <Form.Item label={t("users.displayName")} name="display_name">
        <Input />
      </Form.Item>
      <Form.Item label={t("users.email")} name="email">
        <Input type="email" />
      </Form.Item>
      <Form.Item label={t("users.roles")} name="roles">
        <Select mode="multiple" options={ROLES.map((role) => ({ value: role, label: t(`role.${role}`) }))} />
      </Form.Item>
      <Form.Item label={t("menu.groups")} name="group_ids">
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

function Actions({
  user,
  onEdit,
  onPassword,
}: {
  user: User;
  onEdit: () => void;
  onPassword: (password: string) => void;
}) {
  const { t } = useTranslation();
  const act = useAct();
  const fail = useFail();
  const confirm = useConfirm();
  const self = useSession().user.id === user.id;
  const path = { params: { path: { user_id: user.id } } };
  const frozen = user.status === "frozen";

  const freeze = () =>
    frozen
      ? act(
          () => ok(api.POST("/api/v1/users/{user_id}/unfreeze", path)),
          t("users.unfrozen", { username: user.username }),
        )
      : confirm({
          title: t("users.freezeAsk", { username: user.username }),
          content: t("users.freezeHint"),
          okText: t("users.freeze"),
          action: () => ok(api.POST("/api/v1/users/{user_id}/freeze", path)),
        });
  const reset = () =>
    confirm({
      title: t("users.resetAsk", { username: user.username }),
      content: t("users.resetHint"),
      okText: t("users.reset"),
      action: () =>
        ok(api.POST("/api/v1/users/{user_id}/reset-password", path)).then(({ password }) => onPassword(password), fail),
    });
  const remove = () =>
    confirm({
      title: t("common.deleteAsk", { name: user.username }),
      content: t("users.deleteHint"),
      okText: t("common.delete"),
      action: () => ok(api.DELETE("/api/v1/users/{user_id}", path)),
    });

  return (
    <span className="tags">
      <Button size="small" onClick={onEdit}>
        {t("common.edit")}
      </Button>
      <Button size="small" onClick={freeze} disabled={self}>
        {t(frozen ? "users.unfreeze" : "users.freeze")}
      </Button>
      <Dropdown
        trigger={["click"]}
        menu={{
          items: [
            { key: "reset", label: t("users.reset"), onClick: reset },
            { key: "delete", label: t("common.delete"), danger: true, disabled: self, onClick: remove },
          ],
        }}
      >
        <Button size="small">{t("common.more")}</Button>
      </Dropdown>
    </span>
  );
}
