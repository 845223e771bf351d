import { FileZipOutlined, FolderOpenOutlined, InboxOutlined } from "@ant-design/icons";
import { formatBytes } from "../format";
import { Flex, Segmented, Typography, Upload } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Source } from "./job";

type Mode = "folder" | "files" | "archive";
const ARCHIVES = ".zip,.tar,.tar.gz,.tgz";

/** `model/weights/a.bin` chosen as a folder lies at `weights/a.bin`: the asset itself is the folder. */
export const sourcePath = (file: File, mode: Mode) =>
  mode === "folder" && file.webkitRelativePath ? file.webkitRelativePath.split("/").slice(1).join("/") : file.name;

/** A form field: a folder, files, or an archive. */
export function FileChooser({ value, onChange }: { value?: Source[]; onChange?: (sources: Source[]) => void }) {
  const { t } = useTranslation();
  const [mode, setMode] = useState<Mode>("folder");
  const total = value?.reduce((sum, source) => sum + source.file.size, 0) ?? 0;
  const change = (next: Mode) => {
    setMode(next);
    onChange?.([]);
  };
  return (
    <Flex vertical gap="small">
      <Segmented<Mode>
        value={mode}
        onChange={change}
        options={[
          { value: "folder", label: t("upload.folder"), icon: <FolderOpenOutlined aria-hidden /> },
          { value: "files", label: t("upload.files"), icon: <InboxOutlined aria-hidden /> },
          { value: "archive", label: t("upload.archive"), icon: <FileZipOutlined aria-hidden /> },
        ]}
      />
      <Upload.Dragger
        key={mode}
        aria-label={t(`upload.${mode}Hint`)}
        directory={mode === "folder"}
        multiple={mode !== "archive"}
        accept={mode === "archive" ? ARCHIVES : undefined}
        showUploadList={false}
        fileList={[]}
        beforeUpload={(file, list) => {
          if (file === list[0])
            onChange?.(list.map((one) => ({ file: one, path: sourcePath(one, mode), archive: mode === "archive" })));
          return false;
        }}
      >
        <p style={{ margin: 0 }}>{t(`upload.${mode}Hint`)}</p>
        {value && value.length > 0 && (
          <Typography.Text strong>
            {value.length === 1 ? value[0]?.path : t("upload.chosen", { count: value.length })} · {formatBytes(total)}
          </Typography.Text>
        )}
      </Upload.Dragger>
    </Flex>
  );
}
