import { App, Typography } from "antd";
import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import { ApiError } from "../api/problem";
import { queryClient } from "../query";

/** Say on the page what went wrong and what to do about it. */
export function useFail() {
  const { notification } = App.useApp();
  const { t } = useTranslation();
  return useCallback(
    (error: unknown, details?: string[]) => {
      if (error instanceof ApiError && error.problem.status === 401) return;
      const problem = error instanceof ApiError ? error.problem : undefined;
      const unreachable = !problem || problem.code === "unreachable";
      // What could not be reached is the title already.
      const said = problem ? (unreachable ? [] : [problem.detail]) : [t("problem.unreachable")];
      const lines = details ?? said;
      const cure = unreachable ? t("problem.unreachableCure") : problem.cure;
      notification.error({
        title: problem
          ? t([`problem.${problem.code}`, "problem.other"] as never, { defaultValue: problem.title })
          : t("problem.other"),
        description: (
          <>
            {lines.map((line) => (
              <div key={line}>{line}</div>
            ))}
            {cure && <Typography.Text type="secondary">{cure}</Typography.Text>}
          </>
        ),
        duration: 8,
      });
    },
    [notification, t],
  );
}

/** Do something, say that it is done or why not, and refetch what is shown. Answers whether it worked. */
export function useAct() {
  const { message } = App.useApp();
  const fail = useFail();
  return useCallback(
    async (action: () => Promise<unknown>, done?: string): Promise<boolean> => {
      try {
        await action();
        if (done) message.success(done);
        return true;
      } catch (error) {
        fail(error);
        return false;
      } finally {
        void queryClient.invalidateQueries();
      }
    },
    [message, fail],
  );
}

export interface Question {
  title: string;
  content?: React.ReactNode;
  okText: string;
  action: () => Promise<unknown>;
  done?: string;
}

/** Ask before something that cannot be undone. */
export function useConfirm() {
  const { modal } = App.useApp();
  const act = useAct();
  return ({ title, content, okText, action, done }: Question) =>
    modal.confirm({
      title,
      content,
      okText,
      okButtonProps: { danger: true },
      focusable: { autoFocusButton: "cancel" },
      onOk: () => act(action, done),
    });
}
