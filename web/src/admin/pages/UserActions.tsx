import { api, ok, type Schemas } from "@shared/api/client";
import { ApiError } from "@shared/api/problem";
import { queryClient } from "@shared/query";
import { useSession } from "@shared/session";
import { useAct, useConfirm, useFail } from "@shared/ui/feedback";
import { useShowOnce } from "@shared/ui/ShowOnce";
import { App, Button, Checkbox, Dropdown, Typography } from "antd";
import { useTranslation } from "react-i18next";

interface Props {
  user: Schemas["UserOut"];
  onEdit: () => void;
  onFreeze: () => void;
}

/** What an operator may do with one user. */
export function UserActions({ user, onEdit, onFreeze }: Props) {
  const { t } = useTranslation();
  const { modal } = App.useApp();
  const act = useAct();
  const fail = useFail();
  const confirm = useConfirm();
  const showOnce = useShowOnce();
  const self = useSession().user.id === user.id;
  const path = { params: { path: { user_id: user.id } } };
  const { username } = user;
  const frozen = user.status === "frozen";

  const unfreeze = () =>
    act(() => ok(api.POST("/api/v1/users/{user_id}/unfreeze", path)), t("users.unfrozen", { username }));
  const reset = () => {
    let revoke_tokens = true;
    confirm({
      title: t("users.resetAsk", { username }),
      content: (
        <>
          <Typography.Paragraph>{t("users.resetHint")}</Typography.Paragraph>
          <Checkbox defaultChecked onChange={(event) => (revoke_tokens = event.target.checked)}>
            {t("users.resetTokens")}
          </Checkbox>
        </>
      ),
      okText: t("users.reset"),
      action: async () => {
        const body = { revoke_tokens };
        const { password } = await ok(api.POST("/api/v1/users/{user_id}/reset-password", { ...path, body }));
        showOnce({
          title: t("users.passwordOnce", { username }),
          hint: t("users.passwordOnceHint"),
          label: t("login.password"),
          text: password,
        });
      },
    });
  };

  const resetSecond = () =>
    confirm({
      title: t("users.resetSecondAsk", { username }),
      content: t("users.resetSecondHint"),
      okText: t("users.resetSecond"),
      action: () => ok(api.POST("/api/v1/users/{user_id}/reset-second-factor", path)),
      done: t("users.resetSecondDone", { username }),
    });

  /** Whose records must stay cannot be deleted: say why, and offer what can be done instead. */
  const refused = (error: unknown) => {
    if (!(error instanceof ApiError) || error.problem.status !== 409) return fail(error);
    const { detail, cure } = error.problem;
    modal.confirm({
      title: t("users.deleteRefused", { name: username }),
      content: (
        <>
          <Typography.Paragraph>{detail}</Typography.Paragraph>
          <Typography.Text type="secondary">{cure}</Typography.Text>
        </>
      ),
      okText: t("users.freezeInstead"),
      okButtonProps: { disabled: frozen || self },
      onOk: () => onFreeze(),
    });
  };
  const remove = () =>
    confirm({
      title: t("common.deleteAsk", { name: username }),
      content: t("users.deleteHint"),
      okText: t("common.delete"),
      action: () =>
        ok(api.DELETE("/api/v1/users/{user_id}", path))
          .catch(refused)
          .finally(() => queryClient.invalidateQueries()),
    });

  return (
    <span className="tags">
      <Button size="small" onClick={onEdit}>
        {t("common.edit")}
      </Button>
      <Dropdown
        trigger={["click"]}
        menu={{
          items: [
            frozen
              ? { key: "unfreeze", label: t("users.unfreeze"), onClick: unfreeze }
              : {
                  key: "freeze",
                  label: t("users.freeze"),
                  disabled: self,
                  title: self ? t("users.freezeSelf") : undefined,
                  onClick: onFreeze,
                },
            { key: "reset", label: t("users.reset"), onClick: reset },
            ...(user.second_factor
              ? [{ key: "second", label: t("users.resetSecond"), disabled: self, onClick: resetSecond }]
              : []),
            { key: "delete", label: t("common.delete"), danger: true, disabled: self, onClick: remove },
          ],
        }}
      >
        <Button size="small">{t("common.more")}</Button>
      </Dropdown>
    </span>
  );
}
