import { Alert, Button, Modal } from "antd";
import { useTranslation } from "react-i18next";
import { logOut } from "../session";
import { FrontPage } from "../ui/FrontPage";
import { useAct } from "../ui/feedback";
import { SecurityPanel } from "./SecurityPanel";

/** The part of one's account about its second factor. */
export function Security({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Modal title={t("account.security")} open={open} onCancel={onClose} footer={null} width={560} destroyOnHidden>
      <SecurityPanel />
    </Modal>
  );
}

/** All that is shown to whom the platform demands a second factor of, until there is one. */
export function MustSetUp() {
  const { t } = useTranslation();
  const act = useAct();
  return (
    <FrontPage title={t("security.must")}>
      <Alert type="info" showIcon title={t("security.mustHint")} style={{ marginBottom: 24 }} />
      <SecurityPanel />
      <Button type="text" block style={{ marginTop: 24 }} onClick={() => act(logOut)}>
        {t("account.logOut")}
      </Button>
    </FrontPage>
  );
}
