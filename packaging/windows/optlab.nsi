; The installer for Windows, from the frozen folder:
;
;   makensis -DVERSION=0.1.0 -DSOURCE=dist\optlab -DICON=build\icons\optlab.ico -DOUTPUT=dist\optlab-0.1.0.exe -DSIZE=500000 packaging\windows\optlab.nsi
;
; It installs for one user, asks for no rights, and registers experiment files (*.optlab.toml) so that a double click opens them. Removing it leaves the
; user's runs alone: they are in %LOCALAPPDATA%\optlab, and the program is in another folder.
Unicode true
SetCompressor /SOLID lzma
!include "MUI2.nsh"
!include "FileFunc.nsh"

!define UNINSTALL "Software\Microsoft\Windows\CurrentVersion\Uninstall\OptLab"
!define KIND "OptLab.Experiment"

Name "OptLab"
OutFile "${OUTPUT}"
InstallDir "$LOCALAPPDATA\Programs\OptLab"
InstallDirRegKey HKCU "Software\OptLab" "InstallDir"
RequestExecutionLevel user
VIProductVersion "${VERSION}.0"
VIAddVersionKey "ProductName" "OptLab"
VIAddVersionKey "FileDescription" "OptLab installer"
VIAddVersionKey "FileVersion" "${VERSION}"
VIAddVersionKey "LegalCopyright" "MIT license"

!define MUI_ICON "${ICON}"
!define MUI_UNICON "${ICON}"
!define MUI_FINISHPAGE_RUN "$INSTDIR\optlab-window.exe"
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"

Section "OptLab"
  ; An earlier version's files must not stay between the new ones; only folders that an installer of OptLab made are emptied.
  IfFileExists "$INSTDIR\uninstall.exe" 0 +2
    RMDir /r "$INSTDIR\_internal"
  SetOutPath "$INSTDIR"
  File /r "${SOURCE}\*"
  File "/oname=optlab.ico" "${ICON}"
  WriteUninstaller "$INSTDIR\uninstall.exe"
  WriteRegStr HKCU "Software\OptLab" "InstallDir" "$INSTDIR"
  CreateShortCut "$SMPROGRAMS\OptLab.lnk" "$INSTDIR\optlab-window.exe" "" "$INSTDIR\optlab.ico"

  ; Windows knows a file by the last part of its name only, and .toml belongs to many programs: OptLab offers itself for it and takes nothing over.
  WriteRegStr HKCU "Software\Classes\${KIND}" "" "OptLab experiment"
  WriteRegStr HKCU "Software\Classes\${KIND}\DefaultIcon" "" "$INSTDIR\optlab.ico"
  WriteRegStr HKCU "Software\Classes\${KIND}\shell\open\command" "" '"$INSTDIR\optlab-window.exe" "%1"'
  WriteRegStr HKCU "Software\Classes\.toml\OpenWithProgids" "${KIND}" ""

  WriteRegStr HKCU "${UNINSTALL}" "DisplayName" "OptLab"
  WriteRegStr HKCU "${UNINSTALL}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKCU "${UNINSTALL}" "DisplayIcon" "$INSTDIR\optlab.ico"
  WriteRegStr HKCU "${UNINSTALL}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${UNINSTALL}" "InstallLocation" "$INSTDIR"
  WriteRegDWORD HKCU "${UNINSTALL}" "EstimatedSize" ${SIZE}
  WriteRegDWORD HKCU "${UNINSTALL}" "NoModify" 1
  WriteRegDWORD HKCU "${UNINSTALL}" "NoRepair" 1
  ${RefreshShellIcons}
SectionEnd

Section "Uninstall"
  RMDir /r "$INSTDIR\_internal"
  Delete "$INSTDIR\optlab.exe"
  Delete "$INSTDIR\optlab-window.exe"
  Delete "$INSTDIR\optlab.ico"
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  Delete "$SMPROGRAMS\OptLab.lnk"
  DeleteRegValue HKCU "Software\Classes\.toml\OpenWithProgids" "${KIND}"
  DeleteRegKey HKCU "Software\Classes\${KIND}"
  DeleteRegKey HKCU "Software\OptLab"
  DeleteRegKey HKCU "${UNINSTALL}"
  ${RefreshShellIcons}
SectionEnd
