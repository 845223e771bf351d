import { App, Button, Card, Form, Input, Select, Table, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { useRole, useSession } from "../session";
import { FormDialog } from "../ui/FormDialog";
import { useAct, useConfirm } from "../ui/feedback";
import { LoadedSelect } from "../ui/LoadedSelect";

type Group = Schemas["GroupDetail"];
type Member = Schemas["GroupMemberOut"];
type Role = Schemas["GroupRole"];
const ROLES: Role[] = ["member", "manager"];

/** Who is in a group, and as what. An operator changes all of it, a manager brings in and takes out members. */
export function Members({ group }: { group: Group }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const [adding, setAdding] = useState(false);
  const act = useAct();
  const confirm = useConfirm();
  const { user: me } = useSession();
  const operator = useRole();
  const canChange = operator || group.my_role === "manager";
  const path = (member: Member) => ({ params: { path: { group_id: group.id, user_id: member.user.id } } });

  const columns = [
    {
      title: t("login.username"),
      key: "user",
      render: (_: unknown, { user }: Member) => (
        <>
          <Typography.Text strong>{user.username}</Typography.Text>
          {user.display_name && <Typography.Text type="secondary"> · {user.display_name}</Typography.Text>}{" "}
          {user.status === "frozen" && <Tag color="blue">{t("userStatus.frozen")}</Tag>}
        </>
      ),
    },
    {
      title: t("groups.role"),
      dataIndex: "role",
      render: (role: Role, member: Member) =>
        operator ? (
          <Select<Role>
            size="small"
            aria-label={`${t("groups.role")}: ${member.user.username}`}
            value={role}
            onChange={(value) =>
              act(() =>
                ok(api.PUT("/api/v1/groups/{group_id}/members/{user_id}", { ...path(member), body: { role: value } })),
              )
            }
            options={ROLES.map((value) => ({ value, label: t(`groups.${value}`) }))}
            style={{ minWidth: 110 }}
          />
        ) : (
          <Tag color={role === "manager" ? "geekblue" : undefined}>{t(`groups.${role}`)}</Tag>
        ),
    },
    ...(canChange
      ? [
          {
            key: "actions",
            align: "end" as const,
            render: (_: unknown, member: Member) =>
              (operator || member.role === "member" || member.user.id === me.id) && (
                <Button
                  size="small"
                  danger
                  aria-label={`${t("groups.remove")}: ${member.user.username}`}
                  onClick={() =>
                    confirm({
                      title: t("groups.removeAsk", { username: member.user.username, group: group.name }),
                      content: t("groups.removeHint"),
                      okText: t("groups.remove"),
                      action: () => ok(api.DELETE("/api/v1/groups/{group_id}/members/{user_id}", path(member))),
                    })
                  }
                >
                  {t("groups.remove")}
                </Button>
              ),
          },
        ]
      : []),
  ];

  return (
    <Card
      size="small"
      title={<h4 className="card-title">{t("groups.members")}</h4>}
      extra={
        canChange && (
          <Button size="small" type="primary" onClick={() => setAdding(true)}>
            {t("groups.addMember")}
          </Button>
        )
      }
      styles={{ body: { padding: 0 } }}
    >
      <Table<Member>
        columns={columns}
        dataSource={group.members}
        rowKey={({ user }) => user.id}
        size="small"
        pagination={group.members.length > 50 ? { pageSize: 50, showSizeChanger: false } : false}
        scroll={{ x: "max-content" }}
        locale={{ emptyText: t("groups.noMembers") }}
      />
      <FormDialog<Schemas["MemberAdd"], unknown>
        title={t("groups.addMember")}
        name="add-member"
        open={adding}
        onClose={() => setAdding(false)}
        initialValues={{ role: "member" }}
        submit={(body) =>
          ok(api.POST("/api/v1/groups/{group_id}/members", { params: { path: { group_id: group.id } }, body }))
        }
        onDone={() => message.success(t("groups.addMember"))}
      >
        <Form.Item
          label={t("login.username")}
          name="username"
          extra={t("groups.addHint")}
          rules={[{ required: true, message: t("common.required") }]}
        >
          {operator ? (
            <LoadedSelect
              queryKey="users"
              load={(query) => ok(api.GET("/api/v1/users", { params: { query } }))}
              option={(user) => ({
                value: user.username,
                label: user.username,
                disabled: group.members.some((member) => member.user.id === user.id),
              })}
            />
          ) : (
            <Input autoFocus autoCapitalize="none" autoComplete="off" />
          )}
        </Form.Item>
        {operator && (
          <Form.Item label={t("groups.role")} name="role" extra={t("groups.managersHint")}>
            <Select options={ROLES.map((value) => ({ value, label: t(`groups.${value}`) }))} />
          </Form.Item>
        )}
      </FormDialog>
    </Card>
  );
}
