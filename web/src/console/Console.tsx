import {
  ClockCircleOutlined,
  CodeOutlined,
  ContainerOutlined,
  DashboardOutlined,
  DatabaseOutlined,
  ExperimentOutlined,
  FunctionOutlined,
  TeamOutlined,
} from "@ant-design/icons";
import { AssetList } from "@shared/assets/AssetList";
import { Images } from "@shared/assets/Images";
import { LowBalance } from "@shared/money/LowBalance";
import { NoticesBadge } from "@shared/money/NoticesBadge";
import { useRole } from "@shared/session";
import { type MenuEntry, Shell } from "@shared/ui/Shell";
import { useTranslation } from "react-i18next";
import { Navigate, Route, Routes } from "react-router-dom";
import { MyGroups } from "./pages/MyGroups";
import { Notebooks } from "./pages/Notebooks";
import { Overview } from "./pages/Overview";
import { TimeManagement } from "./pages/TimeManagement";

/** The chip user end. */
export function Console({ other }: { other: string }) {
  const { t } = useTranslation();
  const renter = useRole("renter");
  const menu: MenuEntry[] = [
    { path: "/overview", label: t("menu.overview"), icon: <DashboardOutlined aria-hidden /> },
    { path: "/notebooks", label: t("menu.notebooks"), icon: <CodeOutlined aria-hidden /> },
    { path: "/algorithms", label: t("menu.algorithms"), icon: <FunctionOutlined aria-hidden /> },
    { path: "/datasets", label: t("menu.datasets"), icon: <DatabaseOutlined aria-hidden /> },
    { path: "/models", label: t("menu.models"), icon: <ExperimentOutlined aria-hidden /> },
    { path: "/images", label: t("menu.images"), icon: <ContainerOutlined aria-hidden /> },
    { path: "/groups", label: t("menu.myGroups"), icon: <TeamOutlined aria-hidden /> },
    {
      path: "/time-management",
      label: t("menu.time"),
      badge: <NoticesBadge />,
      icon: <ClockCircleOutlined aria-hidden />,
    },
  ];
  return (
    <Shell end={t("login.console.title")} forRole="renter" other={other} menu={renter ? menu : []}>
      <LowBalance />
      <Routes>
        <Route path="/overview" element={<Overview />} />
        <Route path="/notebooks" element={<Notebooks />} />
        <Route path="/algorithms" element={<AssetList key="algorithms" kind="algorithms" />} />
        <Route path="/datasets" element={<AssetList key="datasets" kind="datasets" />} />
        <Route path="/models" element={<AssetList key="models" kind="models" />} />
        <Route path="/images" element={<Images title={t("menu.images")} />} />
        <Route path="/groups" element={<MyGroups />} />
        <Route path="/time-management" element={<TimeManagement />} />
        <Route path="*" element={<Navigate to="/overview" replace />} />
      </Routes>
    </Shell>
  );
}
