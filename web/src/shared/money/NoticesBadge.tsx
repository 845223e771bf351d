import { Badge } from "antd";
import { useTranslation } from "react-i18next";
import { useNoticeSettings } from "./noticeSettings";

/** How many notices one has not seen. */
export function NoticesBadge() {
  const { t } = useTranslation();
  const count = useNoticeSettings().data?.unseen ?? 0;
  return <Badge color="#a8071a" count={count} overflowCount={99} size="small" title={t("notices.unseen", { count })} />;
}
