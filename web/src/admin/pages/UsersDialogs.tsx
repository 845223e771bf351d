import { api, ok, type Schemas } from "@shared/api/client";
import { ApiError } from "@shared/api/problem";
import { GroupSelect } from "@shared/people/GroupSelect";
import { ROLES } from "@shared/people/tags";
import { FormDialog } from "@shared/ui/FormDialog";
import { useFail } from "@shared/ui/feedback";
import { useShowOnce } from "@shared/ui/ShowOnce";
import { App, Flex, Form, Input, Radio, Select, Typography } from "antd";
import { useTranslation } from "react-i18next";

type User = Schemas["UserOut"];

export function CreateUser({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const showOnce = useShowOnce();
  return (
    <FormDialog<Schemas["UserCreate"], Schemas["UserCreated"]>
      title={t("users.create")}
      name="create-user"
      open={open}
      onClose={onClose}
      initialValues={{ display_name: "", email: "", roles: ["renter"], group_ids: [] }}
      submit={(values) => ok(api.POST("/api/v1/users", { body: { ...values, password: values.password || null } }))}
      onDone={({ username, initial_password }) =>
        initial_password &&
        showOnce({
          title: t("users.passwordOnce", { username }),
          hint: t("users.passwordOnceHint"),
          label: t("login.password"),
          text: initial_password,
        })
      }
    >
      <Form.Item
        label={t("login.username")}
        name="username"
        extra={t("users.usernameHint")}
        rules={[{ required: true, message: t("common.required") }]}
      >
        <Input autoComplete="off" autoCapitalize="none" autoFocus />
      </Form.Item>
      <Form.Item
        label={t("login.password")}
        name="password"
        extra={t("users.passwordHint")}
        rules={[{ min: 10, message: t("users.passwordRule") }]}
      >
        <Input.Password autoComplete="new-password" placeholder={t("users.generated")} />
      </Form.Item>
      <UserFields />
    </FormDialog>
  );
}

export function EditUser({ user, onClose }: { user: User | undefined; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <FormDialog<Schemas["UserUpdate"], unknown>
      title={t("common.editOf", { name: user?.username })}
      name="edit-user"
      open={Boolean(user)}
      onClose={onClose}
      initialValues={{
        display_name: user?.display_name,
        email: user?.email,
        roles: user?.roles,
        group_ids: user?.groups?.map((group) => group.id),
      }}
      submit={(body) =>
        ok(api.PATCH("/api/v1/users/{user_id}", { params: { path: { user_id: user?.id ?? "" } }, body }))
      }
    >
      <UserFields />
    </FormDialog>
  );
}

function UserFields() {
  const { t } = useTranslation();
  return (
    <>
      <Form.Item label={t("users.displayName")} name="display_name">
        <Input maxLength={255} />
      </Form.Item>
      <Form.Item label={t("users.email")} name="email">
        <Input inputMode="email" maxLength={254} />
      </Form.Item>
      <MembershipFields />
    </>
  );
}

/** Which roles, and in which groups. */
export function MembershipFields() {
  const { t } = useTranslation();
  return (
    <>
      <Form.Item label={t("users.roles")} name="roles" rules={[{ required: true, message: t("common.required") }]}>
        <Select mode="multiple" options={ROLES.map((role) => ({ value: role, label: t(`role.${role}`) }))} />
      </Form.Item>
      <Form.Item label={t("menu.groups")} name="group_ids">
        <GroupSelect mode="multiple" />
      </Form.Item>
    </>
  );
}

/** Freezes one or several: what runs is stopped or kept, and why the user cannot log in. */
export function FreezeDialog({ users, onClose }: { users: User[]; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const fail = useFail();
  const [first] = users;
  const choice = (label: string, hint: string) => (
    <>
      {label}
      <Typography.Text type="secondary" style={{ display: "block" }}>
        {hint}
      </Typography.Text>
    </>
  );
  const freeze = async (body: Schemas["FreezeRequest"]) => {
    const refused: { username: string; error: unknown }[] = [];
    for (const { id, username } of users)
      await ok(api.POST("/api/v1/users/{user_id}/freeze", { params: { path: { user_id: id } }, body })).catch((error) =>
        refused.push({ username, error }),
      );
    const error = refused[0]?.error;
    if (error && users.length === 1) throw error;
    if (error)
      fail(
        error,
        refused.map((one) => `${one.username}: ${reason(one.error)}`),
      );
    return users.length - refused.length;
  };
  return (
    <FormDialog<Schemas["FreezeRequest"], number>
      title={t("users.freezeAsk", {
        name: users.length > 1 ? t("users.freezeMany", { count: users.length }) : first?.username,
      })}
      name="freeze-user"
      open={users.length > 0}
      onClose={onClose}
      okText={t("users.freeze")}
      danger
      initialValues={{ running: "stop", reason: "" }}
      submit={freeze}
      onDone={(count) => count > 0 && message.success(t("users.freezeDone", { count }))}
      intro={<Typography.Paragraph>{t("users.freezeHint")}</Typography.Paragraph>}
    >
      <Form.Item label={t("users.running")} name="running">
        <Radio.Group>
          <Flex vertical gap="small">
            <Radio value="stop">{choice(t("users.runningStop"), t("users.runningStopHint"))}</Radio>
            <Radio value="keep">{choice(t("users.runningKeep"), t("users.runningKeepHint"))}</Radio>
          </Flex>
        </Radio.Group>
      </Form.Item>
      <Form.Item label={t("users.freezeReason")} name="reason" extra={t("users.freezeReasonHint")}>
        <Input.TextArea rows={3} maxLength={500} showCount />
      </Form.Item>
    </FormDialog>
  );
}

const reason = (error: unknown) => (error instanceof ApiError ? error.problem.detail : String(error));
