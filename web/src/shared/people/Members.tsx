import { App, Button, Card, Empty, Flex, Form, Input, Select, Tag, Typography } from "antd";
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
const PAGE = 50;

/** Who is in a group, and as what. An operator changes all of it, a manager brings in and takes out members. */
export function Members({ group }: { group: Group }) {
  const { t } = useTranslation();
  const [adding, setAdding] = useState(false);
  const [shown, setShown] = useState(PAGE);
  const canChange = useRole() || group.my_role === "manager";
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
    >
      {group.members.length === 0 ? (
        <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t("groups.noMembers")} />
      ) : (
        <ul className="lines">
          {group.members.slice(0, shown).map((member) => (
            <MemberLine key={member.user.id} group={group} member={member} />
          ))}
        </ul>
      )}
      {group.members.length > shown && (
        <Button block type="text" onClick={() => setShown(shown + PAGE)}>
          {t("list.more")}
        </Button>
      )}
      <AddMember group={group} open={adding} onClose={() => setAdding(false)} />
    </Card>
  );
}

function MemberLine({ group, member: { user, role } }: { group: Group; member: Member }) {
  const { t } = useTranslation();
  const act = useAct();
  const confirm = useConfirm();
  const me = useSession().user;
  const operator = useRole();
  const mayRemove = operator || (group.my_role === "manager" && (role === "member" || user.id === me.id));
  const path = { params: { path: { group_id: group.id, user_id: user.id } } };
  return (
    <Flex component="li" justify="space-between" align="center" gap="small" wrap>
      <span>
        <Typography.Text strong>{user.username}</Typography.Text>
        {user.display_name && <Typography.Text type="secondary"> · {user.display_name}</Typography.Text>}{" "}
        {user.status === "frozen" && <Tag color="blue">{t("userStatus.frozen")}</Tag>}
      </span>
      <span className="tags">
        {operator ? (
          <Select<Role>
            size="small"
            aria-label={`${t("groups.role")}: ${user.username}`}
            value={role}
            onChange={(value) =>
              act(() => ok(api.PUT("/api/v1/groups/{group_id}/members/{user_id}", { ...path, body: { role: value } })))
            }
            options={ROLES.map((value) => ({ value, label: t(`groups.${value}`) }))}
            style={{ minWidth: 110 }}
          />
        ) : (
          <Tag color={role === "manager" ? "geekblue" : undefined} style={{ marginInlineEnd: 0 }}>
            {t(`groups.${role}`)}
          </Tag>
        )}
        {mayRemove && (
          <Button
            size="small"
            danger
            aria-label={`${t("groups.remove")}: ${user.username}`}
            onClick={() =>
              confirm({
                title: t("groups.removeAsk", { username: user.username, group: group.name }),
                content: t("groups.removeHint"),
                okText: t("groups.remove"),
                action: () => ok(api.DELETE("/api/v1/groups/{group_id}/members/{user_id}", path)),
              })
            }
          >
            {t("groups.remove")}
          </Button>
        )}
      </span>
    </Flex>
  );
}

function AddMember({ group, open, onClose }: { group: Group; open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const operator = useRole();
  return (
    <FormDialog<Schemas["MemberAdd"], string>
      title={t("groups.addMember")}
      name="add-member"
      open={open}
      onClose={onClose}
      initialValues={{ role: "member" }}
      submit={async (body) => {
        await ok(api.POST("/api/v1/groups/{group_id}/members", { params: { path: { group_id: group.id } }, body }));
        return body.username;
      }}
      onDone={(username) => message.success(t("groups.added", { username, group: group.name }))}
    >
      <Form.Item
        label={t("login.username")}
        name="username"
        extra={t("groups.addHint")}
        rules={[{ required: true, message: t("common.required") }]}
      >
        {operator ? <UsernameSelect group={group} /> : <Input autoFocus autoCapitalize="none" autoComplete="off" />}
      </Form.Item>
      {operator && (
        <Form.Item label={t("groups.role")} name="role" extra={t("groups.managersHint")}>
          <Select options={ROLES.map((value) => ({ value, label: t(`groups.${value}`) }))} />
        </Form.Item>
      )}
    </FormDialog>
  );
}

/** An operator chooses among all users; those who are in the group already cannot be chosen. */
function UsernameSelect({ group, ...field }: { group: Group; id?: string; value?: string }) {
  return (
    <LoadedSelect
      {...field}
      queryKey="users"
      load={(query) => ok(api.GET("/api/v1/users", { params: { query } }))}
      option={(user) => ({
        value: user.username,
        label: user.username,
        disabled: group.members.some((member) => member.user.id === user.id),
      })}
    />
  );
}
