import { Button, Result } from "antd";
import { useTranslation } from "react-i18next";
import { ApiError } from "../api/problem";

/** Stands where something could not be loaded: what happened, what to do. */
export function ErrorCard({ error, retry }: { error: unknown; retry: () => void }) {
  const { t } = useTranslation();
  const problem = error instanceof ApiError ? error.problem : undefined;
  return (
    <Result
      status={problem?.status === 403 ? "403" : "warning"}
      title={problem?.detail || t("problem.unreachable")}
      subTitle={problem?.cure ?? t("problem.unreachableCure")}
      extra={<Button onClick={retry}>{t("common.retry")}</Button>}
    />
  );
}
